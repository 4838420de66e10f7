package builder

import (
	"strings"
	"testing"

	"terrine/store/fault"
)

func TestParseCompression(t *testing.T) {
	for s, want := range map[string]string{
		"none": "none", "gzip": "gzip-default-", "gzip:9": "gzip-9-", "zstd": "zstd-3-", "zstd:19": "zstd-10-",
	} {
		c, err := ParseCompression(s)
		if err != nil || !strings.HasPrefix(c.ID(), want) {
			t.Errorf("ParseCompression(%q) = %s, %v; want %s…", s, c.ID(), err, want)
		}
	}
	for _, s := range []string{"", "gz", "GZIP", "none:1", "gzip:", "gzip:0", "gzip:10", "gzip:-1", "zstd:23", "gzip:x", "gzip:1:2"} {
		if c, err := ParseCompression(s); err == nil || fault.CodeOf(err) != fault.Usage || !strings.Contains(err.Error(), s) {
			t.Errorf("ParseCompression(%q) = %s, %v; want a usage error that names it", s, c.ID(), err)
		}
	}
}

func TestCompressionByName(t *testing.T) {
	for file, want := range map[string]string{
		"a.tar": "none", "a.tar.gz": "gzip", "A.TGZ": "gzip", "x/a.tar.zst": "zstd", "a.tzst": "zstd",
		"a.gz": "", "a.tar.xz": "", "a": "", "": "", "a.tar/b": "",
	} {
		if got, ok := CompressionByName(file); got != want || ok != (want != "") {
			t.Errorf("CompressionByName(%q) = %q, %v; want %q", file, got, ok, want)
		}
	}
}
