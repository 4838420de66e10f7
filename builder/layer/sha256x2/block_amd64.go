package sha256x2

// available tells whether the processor has the instructions that block2 takes.
var available = haveSHA()

// block2 hashes blocks blocks at p into a and as many at q into b.
//
//go:noescape
func block2(a, b *[8]uint32, p, q *byte, blocks int)

//go:noescape
func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// haveSHA asks for SHA, SSSE3 (PSHUFB, PALIGNR) and SSE4.1 (PBLENDW).
func haveSHA() bool {
	const ssse3, sse41, sha = 1 << 9, 1 << 19, 1 << 29
	most, _, _, _ := cpuid(0, 0)
	if most < 7 {
		return false
	}
	_, _, features, _ := cpuid(1, 0)
	_, extended, _, _ := cpuid(7, 0)
	return features&ssse3 != 0 && features&sse41 != 0 && extended&sha != 0
}
