//go:build linux

package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// campaignVar says how many processes TestCampaign is to kill and how often it
// is to cut the power: "10000,1000". reportVar names the file for the report.
const (
	campaignVar = "TERRINE_CAMPAIGN"
	reportVar   = "TERRINE_REPORT"
)

// TestCampaign does what TestKills and TestCuts do, many times over, and writes
// a report of it: see `make campaign`. What the file has from its first section on
// stays.
func TestCampaign(t *testing.T) {
	var nKills, nCuts int
	size := os.Getenv(campaignVar)
	if size == "" {
		t.Skip(campaignVar + " is not set: see make campaign")
	}
	if _, err := fmt.Sscanf(size, "%d,%d", &nKills, &nCuts); err != nil {
		t.Fatalf("%s=%s: want KILLS,CUTS", campaignVar, size)
	}
	l := lab(t, "strace")
	seed := uint64(time.Now().UnixNano() / 1000)
	var report bytes.Buffer
	began := time.Now()
	killed, missed := killMany(t, l, seed, nKills)
	fmt.Fprintf(&report, "| kills | %d processes | %d more came to their end before the point | %s |\n",
		killed, missed, time.Since(began).Round(time.Second))
	for _, kind := range []string{"ext4", "xfs"} {
		began := time.Now()
		acknowledged, valid, wrong := cutMany(t, disk(t, kind), seed, nCuts/2)
		fmt.Fprintf(&report, "| cuts on %s | %d | %d paths acknowledged, %d valid | %s |\n",
			kind, nCuts/2, acknowledged, valid, time.Since(began).Round(time.Second))
		for _, problem := range wrong {
			t.Error(problem)
		}
	}
	if t.Failed() {
		t.Logf("no report:\n%s", report.String())
		return
	}
	file := os.Getenv(reportVar)
	if file == "" {
		file = filepath.Join("..", "..", "docs", "reliability.md")
	}
	text := fmt.Sprintf(reportText, time.Now().UTC().Format(time.DateOnly), machine(), seed, commit(), report.String())
	kept, err := rest(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text+kept), 0o644); err != nil {
		t.Fatal(err)
	}
}

const reportText = `# What the store has survived

` + "`make campaign`" + ` kills terrine and cuts the power under it, many times. After each time the
store must open by itself, every valid path must have its hash, every path that
was acknowledged must be valid, the same command must succeed, and after a garbage
collection nothing may be left. One exception, and the campaign fails and writes
no report.

Date: %s. Machine: %s. Seed: %d. Commit: %s.

| what | how often | of that | took |
| --- | --- | --- | --- |
%s
**Kills.** SIGKILL by strace, when a thread makes its n-th system call of one kind, at
points drawn from all that add, add --unpack, import, gc, build, delete, optimise, rebuild, roots
and copy come to. A build must leave the image whole, or not there; a copy a binary
cache that nothing half written is in.

**Cuts.** A file system of its own on a loop device is told to forget what is not on disk
(FS_IOC_SHUTDOWN without flushing the log), at a random moment or right after
something was acknowledged, while three processes add, make and drop roots,
collect and optimise. The same cuts without terrine's syncs do harm, which a test
holds to: they are not harmless by themselves.

Not covered: file systems other than these and btrfs, of which ` + "`make test`" + ` cuts a few;
NFS; other processors than this one; disks that lie about what they have written; and
real power supplies.
`

// restBegins is where in the file the part begins that no campaign writes.
const restBegins = "\n## "

// rest returns that part of a report.
func rest(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if i := strings.Index(string(text), restBegins); err == nil && i >= 0 {
		return string(text[i:]), nil
	}
	return "", err
}

func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func machine() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		release = []byte("unknown")
	}
	return "Linux " + strings.TrimSpace(string(release)) + " on " + runtime.GOARCH + ", " + strconv.Itoa(runtime.NumCPU()) + " processors"
}
