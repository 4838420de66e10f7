package compression

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"terrine/store/fault"
	"terrine/tests/need"
)

var formats = []Format{None, XZ, Zstd, Bzip2, Gzip}

// tool is the program that writes a format, in a pipe.
func tool(f Format) string {
	return map[Format]string{None: "cat", XZ: "xz", Zstd: "zstd", Bzip2: "bzip2", Gzip: "gzip"}[f]
}

// compress has the real program compress data.
func compress(t *testing.T, f Format, data string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need.Program(t, tool(f)))
	if f != None {
		cmd.Args = append(cmd.Args, "-c")
	}
	cmd.Stdin = strings.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func read(f Format, r io.Reader) (string, error) {
	d, err := NewReader(f, r)
	if err != nil {
		return "", err
	}
	defer d.Close()
	b, err := io.ReadAll(d)
	return string(b), err
}

var text = strings.Repeat("all that is in a store object, and more of it\n", 5000)

func TestReadWhatTheToolsWrite(t *testing.T) {
	for _, f := range formats {
		t.Run(string(f), func(t *testing.T) {
			packed := compress(t, f, text)
			if got, err := read(f, bytes.NewReader(packed)); err != nil || got != text {
				t.Fatalf("%d bytes, %v: want %d", len(got), err, len(text))
			}
			detected, err := Detect(bufio.NewReader(bytes.NewReader(packed)))
			if err != nil || detected != f {
				t.Errorf("detected as %q, %v", detected, err)
			}
			twice := append(bytes.Clone(packed), packed...)
			if got, err := read(f, iotest.HalfReader(bytes.NewReader(twice))); err != nil || got != text+text {
				t.Errorf("two in a row: %d bytes, %v: want %d", len(got), err, 2*len(text))
			}
		})
	}
}

// TestDetectPlain: what begins as a skippable frame of zstd would is not one yet.
func TestDetectPlain(t *testing.T) {
	for _, text := range []string{"", "P", "PATH", "PATH=/bin", "\x50\x2a\x4d", "\x60\x2a\x4d\x18"} {
		if detected, err := Detect(bufio.NewReader(strings.NewReader(text))); err != nil || detected != None {
			t.Errorf("%q: detected as %q, %v", text, detected, err)
		}
	}
}

// TestSkippableFrames: pzstd puts one before each of its frames, the first too.
func TestSkippableFrames(t *testing.T) {
	stream := packed(t, text, "pzstd", "-3")
	if detected, err := Detect(bufio.NewReader(bytes.NewReader(stream))); err != nil || detected != Zstd {
		t.Errorf("detected as %q, %v", detected, err)
	}
	if window := wanted(Zstd, bufio.NewReader(bytes.NewReader(stream))); window > smallWindow {
		t.Errorf("it waits for %d bytes of window", window)
	}
	if got, err := read(Zstd, bytes.NewReader(stream)); err != nil || got != text {
		t.Errorf("%d bytes, %v: want %d", len(got), err, len(text))
	}
}

func TestDamageIsRefused(t *testing.T) {
	for _, f := range formats[1:] {
		t.Run(string(f), func(t *testing.T) {
			packed := compress(t, f, text)
			for n := range len(packed) {
				if _, err := read(f, bytes.NewReader(packed[:n])); n > 0 && fault.CodeOf(err) != fault.Refused {
					t.Errorf("cut to %d of %d bytes: %v", n, len(packed), err)
				}
			}
			if _, err := read(f, strings.NewReader("this is none of them")); fault.CodeOf(err) != fault.Refused {
				t.Errorf("garbage: %v", err)
			}
			broken := errors.New("the line is cut")
			r := io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(broken))
			if _, err := read(f, r); !errors.Is(err, broken) || fault.CodeOf(err) == fault.Refused {
				t.Errorf("an error below: %v", err)
			}
		})
	}
}

// TestWindow gives headers that ask for more memory than anybody has.
func TestWindow(t *testing.T) {
	words := map[Format]string{Zstd: "window", XZ: "dictionary"}
	for f, header := range map[Format]string{
		// zstd --ultra --long=31: a window of 2 GiB.
		Zstd: "\x28\xb5\x2f\xfd\x04\xa8\x01\x00\x00",
		// xz --lzma2=dict=1536MiB: header, block header.
		XZ: "\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x25\x00\x00\x00\x3b\x78\x7b\x41",
	} {
		if _, err := read(f, strings.NewReader(header)); fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), words[f]) {
			t.Errorf("%s: %v", f, err)
		}
	}
}

func TestToolsReadWhatIsWritten(t *testing.T) {
	for _, f := range []Format{None, XZ, Zstd} {
		var b bytes.Buffer
		w, err := NewWriter(f, &b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), tool(f))
		if f != None {
			cmd.Args = append(cmd.Args, "-dc")
		}
		cmd.Stdin = &b
		if out, err := cmd.Output(); err != nil || string(out) != text {
			t.Errorf("%s reads %d bytes, %v", tool(f), len(out), err)
		}
	}
	if _, err := NewWriter(Bzip2, io.Discard); fault.CodeOf(err) != fault.Refused {
		t.Errorf("bzip2: %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, f := range formats {
		if got, err := Parse(string(f)); err != nil || got != f {
			t.Errorf("%s: %q, %v", f, got, err)
		}
	}
	for _, name := range []string{"", "br", "XZ", "lzip"} {
		if _, err := Parse(name); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := NewReader(Format(name), strings.NewReader("")); fault.CodeOf(err) != fault.Refused {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	for i, s := range []string{"plain", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd\x04\xa8\x01\x00\x00", "BZh9\x17\x72\x45\x38\x50\x90", "\x1f\x8b\x08"} {
		f.Add(uint8(i), []byte(s))
	}
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		d, err := NewReader(formats[int(n)%len(formats)], bytes.NewReader(data))
		if err == nil {
			defer d.Close()
			_, err = io.Copy(io.Discard, io.LimitReader(d, 1<<20))
		}
		if err != nil && fault.CodeOf(err) != fault.Refused {
			t.Errorf("error %v has class %d", err, fault.CodeOf(err))
		}
	})
}
