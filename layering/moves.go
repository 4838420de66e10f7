package layering

import "context"

// improve moves single atoms between bundles for as long as that makes the
// whole cheaper, or until it has been over all of them that many times; 0 for no end.
func (p *partition) improve(ctx context.Context, passes int) error {
	seen := make([]int, len(p.in.atoms)) // when each atom was last looked at
	for i := range seen {
		seen[i] = -1
	}
	moved := true
	for pass := 0; moved && (passes == 0 || pass < passes); pass++ {
		moved = false
		if err := ctx.Err(); err != nil {
			return err
		}
		for a := range int32(len(p.in.atoms)) {
			if to := p.betterHome(a, seen[a]); to >= 0 {
				p.move(a, to)
				moved = true
			}
			seen[a] = p.clock
		}
	}
	p.dropEmpty()
	return nil
}

// betterHome returns the bundle where atom a costs least, or −1 if that is
// the one it is in. Bundles that have not changed since then are no better
// than they were.
func (p *partition) betterHome(a int32, since int) int {
	from := p.bundles[p.home[a]]
	all := from.stamp > since || since < 0
	fall := int64(0)
	if all {
		fall = from.fallWithout(p.in, a)
	}
	size, best, bestRise := p.in.atoms[a].size, -1, int64(0)
	for k, b := range p.bundles {
		if k == p.home[a] || len(b.atoms) == 0 || !all && b.stamp <= since {
			continue
		}
		if !fits(b.size+size, max(b.largest, size), p.in.opt.most) {
			continue
		}
		if fall == 0 {
			fall = from.fallWithout(p.in, a)
		}
		limit := fall
		if best >= 0 {
			limit = min(limit, bestRise)
		}
		if b.floor(size) >= limit {
			continue
		}
		if rise := b.riseWith(p.in, a, limit); rise != never {
			best, bestRise = k, rise
		}
	}
	return best
}
