package codec

import (
	"strconv"
	"strings"
	"testing"

	"terrine/builder/layer/codec/deflate"
)

// TestIDSaysEverything: whatever the bytes of a codec depend on is in its ID, and
// so in the keys of what it makes: algorithm, level, part size, the encoder and its
// version.
func TestIDSaysEverything(t *testing.T) {
	seen := map[string]Codec{}
	check := func(c Codec, err error, fields ...string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[c.ID()]; ok && other != c {
			t.Errorf("%+v has the ID of %+v", c, other)
		}
		seen[c.ID()] = c
		for _, field := range fields {
			if !strings.Contains(c.ID(), field) {
				t.Errorf("the ID %q of %+v does not say %q", c.ID(), c, field)
			}
		}
	}
	part := "-part" + strconv.Itoa(MaxPart) + "-"
	check(None(), nil)
	for level := Default; level <= 9; level++ {
		c, err := Gzip(level)
		check(c, err, "gzip-", part, gzipVersion)
		if level == Default {
			check(c, nil, "-default-", deflate.Version)
		} else {
			check(c, nil, "-"+strconv.Itoa(level)+"-")
		}
	}
	for level := Default; level <= 22; level++ {
		c, err := Zstd(level)
		check(c, err, "zstd-", part, zstdVersion)
	}
}
