package deflate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// samples are data that take every path: all modes, kinds of blocks, and edges.
func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var records, prose, skewed []byte
	for i := uint32(0); len(records) < 300_000; i++ { // matches of 3 bytes, mostly
		records = binary.LittleEndian.AppendUint32(records, i*i<<8|uint32(r.IntN(3)))
	}
	for len(prose) < 300_000 {
		prose = fmt.Appendf(prose, "%d bottles of %x on the wall, ", r.IntN(100), r.IntN(1<<12))
	}
	for n := 1; len(skewed) < 300_000; n += n/2 + 1 { // literals whose code would be too deep
		skewed = append(skewed, bytes.Repeat([]byte{byte(r.Uint32()), byte(r.Uint32())}, n)...)
		skewed = append(skewed, noise[:n%5000]...)
	}
	far := append(append(bytes.Clone(noise[:windowSize]), noise[:300]...), noise[1:400]...)
	beyond := append(append(bytes.Clone(noise[:windowSize+1]), noise[:300]...), noise[2*windowSize:]...)
	s := map[string][]byte{
		"noise": noise, "records": records, "prose": prose, "skewed": skewed, "far": far, "beyond": beyond,
		"zeros": make([]byte, MaxSize), "one value": bytes.Repeat([]byte("x"), 300), "pairs": bytes.Repeat([]byte("ab"), 40_000),
		"noise repeated": bytes.Repeat(noise[:20_000], 5), "stored edge": noise[:maxStored], "stored edge + 1": noise[:maxStored+1],
		"mixed": bytes.Join([][]byte{prose[:50_000], noise[:50_000], records[:50_000], make([]byte, 50_000), noise[:30], prose}, nil),
	}
	full := bytes.Repeat(s["mixed"], 3)
	s["full"] = full[:MaxSize]
	return s
}

func inflate(stream []byte) ([]byte, error) {
	r := bytes.NewReader(stream)
	data, err := io.ReadAll(flate.NewReader(r))
	if err == nil && r.Len() > 0 {
		err = fmt.Errorf("%d bytes after the stream", r.Len())
	}
	return data, err
}

func TestRoundTrip(t *testing.T) {
	e := new(Encoder)
	for name, data := range samples() {
		stream := e.Encode([]byte("before"), data)
		rest, ok := bytes.CutPrefix(stream, []byte("before"))
		if !ok {
			t.Fatalf("%s: what stood in dst is gone", name)
		}
		got, err := inflate(rest)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes became %d; %v", name, len(data), len(got), err)
		}
		if most := storedBits(len(data))/8 + 1; len(rest) > most {
			t.Errorf("%s: %d bytes take %d", name, len(data), len(rest))
		}
	}
}

// Every size around those where something changes.
func TestRoundTripSizes(t *testing.T) {
	e := new(Encoder)
	all := samples()
	for _, name := range []string{"prose", "noise", "zeros", "records"} {
		for _, middle := range []int{14, chunkBytes, windowSize, smallSize, smallText} {
			for size := middle - 14; size < middle+14; size++ {
				data := all[name][:size]
				if got, err := inflate(e.Encode(nil, data)); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%s: %d bytes became %d; %v", name, size, len(got), err)
				}
			}
		}
	}
}

// TestDeepSize: small data are made as small as by zlib's level 6, within 3 %.
func TestDeepSize(t *testing.T) {
	e, all := new(Encoder), samples()
	for _, name := range []string{"prose", "records", "skewed", "mixed", "noise repeated"} {
		for size := 1 << 10; size <= smallSize; size *= 4 {
			data := all[name][:size]
			var six bytes.Buffer
			w, err := flate.NewWriter(&six, 6)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if ours := len(e.Encode(nil, data)); float64(ours) > 1.03*float64(six.Len()) {
				t.Errorf("%d bytes of %s take %d, at level 6 %d", size, name, ours, six.Len())
			}
		}
	}
}

func TestIsSmall(t *testing.T) {
	high := func(size, n int) []byte {
		return append(bytes.Repeat([]byte{'a'}, size-n), bytes.Repeat([]byte{0x80}, n)...)
	}
	for _, test := range []struct {
		size, high int
		want       bool
	}{
		{0, 0, true}, {smallSize, smallSize, true}, {smallSize + 1, 0, true}, {smallSize + 1, smallSize/textShare + 1, false},
		{smallText, smallText/textShare - 1, true}, {smallText, smallText / textShare, false}, {smallText + 1, 0, false},
	} {
		if got := isSmall(high(test.size, test.high)); got != test.want {
			t.Errorf("%d bytes, %d of them high: %v", test.size, test.high, got)
		}
	}
}

func TestSameStream(t *testing.T) {
	used, all := new(Encoder), samples()
	for name, data := range samples() {
		all[name+", small"] = data[:min(len(data), smallSize)]
	}
	for name, data := range all {
		first := used.Encode(nil, data)
		used.Encode(nil, all["noise, small"])
		used.Encode(nil, all["mixed"])
		if !bytes.Equal(used.Encode(nil, data), first) || !bytes.Equal(new(Encoder).Encode(nil, data), first) {
			t.Errorf("%s: the stream depends on what the encoder did before", name)
		}
	}
}

// What is the point of the package: it is hardly worse than zlib's level 6,
// which compress/flate is a port of.
func TestSize(t *testing.T) {
	binary, err := os.ReadFile(testBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	binary = binary[:min(len(binary), 2<<20)]
	ours, e := 0, new(Encoder)
	for part := binary; len(part) > 0; part = part[min(len(part), MaxSize):] {
		ours += len(e.Encode(nil, part[:min(len(part), MaxSize)]))
	}
	var six bytes.Buffer
	w, err := flate.NewWriter(&six, 6)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(binary); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ratio := float64(ours) / float64(six.Len()); ratio > 1.07 {
		t.Errorf("%d bytes of machine code take %d, %.3f of what level 6 makes", len(binary), ours, ratio)
	}
	if n := len(e.Encode(nil, make([]byte, MaxSize))); n > 1200 {
		t.Errorf("a megabyte of zeros takes %d bytes", n)
	}
	repeated := samples()["noise repeated"]
	if n := len(e.Encode(nil, repeated)); n > len(repeated)*3/10 {
		t.Errorf("noise that is repeated takes %d of %d bytes", n, len(repeated))
	}
}

func testBinary(t testing.TB) string {
	t.Helper()
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMaxSize(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for more than MaxSize bytes")
		}
	}()
	new(Encoder).Encode(nil, make([]byte, MaxSize+1))
}

func TestAllocations(t *testing.T) {
	e, data, dst := new(Encoder), samples()["full"], make([]byte, 0, 2*MaxSize)
	e.Encode(dst, data)
	if n := testing.AllocsPerRun(3, func() { e.Encode(dst, data) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzEncode(f *testing.F) {
	for _, data := range samples() {
		f.Add(data[:min(len(data), 300)], uint8(1), uint8(0))
	}
	f.Add([]byte("abc"), uint8(200), uint8(3))
	used := new(Encoder)
	f.Fuzz(func(t *testing.T, seed []byte, times, step uint8) {
		var data []byte // the seed again and again, with a change each time
		for i := range int(times) {
			data = append(append(data, seed...), byte(i)*step)
		}
		data = data[:min(len(data), 1<<17)]
		stream := used.Encode(nil, data)
		got, err := inflate(stream)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes became %d; %v", len(data), len(got), err)
		}
		if times < 8 && !bytes.Equal(new(Encoder).Encode(nil, data), stream) {
			t.Fatal("the stream depends on what the encoder did before")
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	binary, err := os.ReadFile(testBinary(b))
	if err != nil {
		b.Fatal(err)
	}
	all := samples()
	inputs := map[string][]byte{"machine code": binary, "prose": all["prose"], "noise": all["noise"], "zeros": all["zeros"]}
	for name, data := range inputs {
		data = data[:min(len(data), MaxSize)]
		b.Run(name, func(b *testing.B) {
			e, dst := new(Encoder), make([]byte, 0, 2*MaxSize)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				e.Encode(dst, data)
			}
		})
	}
}
