package engines

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"terrine/tests/need"
)

// supervise.sh runs dockerd for as long as its standard input stays open, and
// so stops it also when the process that holds the other end is killed.
//
//go:embed supervise.sh
var supervise string

// Docker is a dockerd of the tests' own, on a socket of its own, without a
// network. Its methods may be called from several goroutines.
type Docker struct {
	dir   string
	life  io.Closer // standard input of the supervisor
	ended chan error
}

// StartDocker starts a dockerd that keeps everything below dir, which must be
// on a disk that overlay2 can use and which it makes, and waits until it
// answers. The caller must call Stop; when this process dies without that,
// dockerd ends all the same and dir is removed.
func StartDocker(ctx context.Context, dir string) (*Docker, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d := &Docker{dir: dir, ended: make(chan error, 1)}
	cmd := exec.Command("/bin/sh", "-c", supervise, "supervise", dir,
		"dockerd", "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--host", d.host(), "--pidfile", filepath.Join(dir, "pid"), "--config-file", filepath.Join(dir, "daemon.json"),
		"--storage-driver", "overlay2", "--iptables=false", "--ip6tables=false", "--bridge=none")
	// A group of its own, so that an interrupt at the terminal reaches only us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}\n"), 0o600); err != nil {
		return nil, err
	}
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	d.life = life
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start dockerd: %w", err)
	}
	go func() { d.ended <- cmd.Wait() }()
	if err := d.await(ctx); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		_ = d.Stop()
		return nil, fmt.Errorf("start dockerd: %w\n%s", err, log)
	}
	return d, nil
}

// await asks dockerd for its version until it answers.
func (d *Docker) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // far more than a busy machine takes
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-d.ended:
			d.ended <- err
			return fmt.Errorf("it ended at once: %v", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if d.Command(ctx, "version").Run() == nil {
				return nil
			}
		}
	}
}

// Stop ends dockerd and everything it started, and removes its directory.
func (d *Docker) Stop() error {
	if err := d.life.Close(); err != nil {
		return fmt.Errorf("stop dockerd: %w", err)
	}
	if err := <-d.ended; err != nil {
		return fmt.Errorf("stop dockerd: %w", err)
	}
	return nil
}

func (d *Docker) host() string { return "unix://" + filepath.Join(d.dir, "docker.sock") }

// Command returns a call of the docker client that talks to d.
func (d *Docker) Command(ctx context.Context, args ...string) *exec.Cmd {
	return command(ctx, []string{"DOCKER_HOST=" + d.host(), "DOCKER_CONFIG=" + d.dir, "DOCKER_CONTEXT="}, "docker", args...)
}

var loaded = regexp.MustCompile(`(?m)^Loaded image(?: ID)?: (\S+)$`)

// Load loads an archive and returns the references, or failing those the
// identifiers, that dockerd says it has loaded. A dockerd that is too old to
// know zstd gets a .zst through zstd -d, as its users have to do it.
func (d *Docker) Load(tb testing.TB, archive string) []string {
	tb.Helper()
	if !strings.HasSuffix(archive, ".zst") || d.knowsZstd(tb) {
		return loadedReferences(tb, "docker", Run(tb, d.Command(tb.Context(), "load", "--quiet", "--input", archive)))
	}
	need.Programs(tb, "zstd")
	const line = `zstd -dcq "$0" | "$@"`
	load := d.Command(tb.Context(), "load", "--quiet")
	piped := exec.CommandContext(tb.Context(), "/bin/sh", append([]string{"-c", line, archive}, load.Args...)...)
	piped.Env = load.Env
	return loadedReferences(tb, "docker", Run(tb, piped))
}

// knowsZstd tells whether dockerd can load what zstd has compressed: from
// version 23 on.
func (d *Docker) knowsZstd(tb testing.TB) bool {
	tb.Helper()
	version := strings.TrimSpace(Run(tb, d.Command(tb.Context(), "version", "--format", "{{.Server.Version}}")))
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		tb.Fatalf("dockerd has the version %q", version)
	}
	return n >= 23
}

func loadedReferences(tb testing.TB, engine, said string) []string {
	tb.Helper()
	var refs []string
	for _, m := range loaded.FindAllStringSubmatch(said, -1) {
		refs = append(refs, m[1])
	}
	if len(refs) == 0 {
		tb.Fatalf("%s load names no image: %q", engine, said)
	}
	return refs
}

// RunCommand returns a `docker run` of an image in a container that has no
// network and is removed when it ends. Args are options, the image, and the
// command.
func (d *Docker) RunCommand(ctx context.Context, args ...string) *exec.Cmd {
	return d.Command(ctx, append([]string{"run", "--rm", "--network=none"}, args...)...)
}

// Run runs a container as RunCommand does and returns its standard output.
func (d *Docker) Run(tb testing.TB, args ...string) string {
	tb.Helper()
	return Run(tb, d.RunCommand(tb.Context(), args...))
}

// Inspected is what the tests ask of an image that docker has loaded.
type Inspected struct {
	ID           string `json:"Id"`
	RepoTags     []string
	Created      time.Time
	Architecture string
	Os           string
	Variant      string
	Config       struct {
		User        string
		Env         []string
		Cmd         []string
		Entrypoint  []string
		WorkingDir  string
		Labels      map[string]string
		Healthcheck *struct{ Test []string }
	}
	RootFS struct {
		Layers []string
	}
}

// Inspect returns what docker knows of an image.
func (d *Docker) Inspect(tb testing.TB, ref string) Inspected {
	tb.Helper()
	var found []Inspected
	said := Run(tb, d.Command(tb.Context(), "image", "inspect", ref))
	if err := json.Unmarshal([]byte(said), &found); err != nil || len(found) != 1 {
		tb.Fatalf("docker image inspect %s: %v in %s", ref, err, said)
	}
	return found[0]
}

// Export unpacks the file system of an image into dir, which it makes, by
// docker export and tar.
func (d *Docker) Export(tb testing.TB, ref, dir string) {
	tb.Helper()
	// An image without a command wants one here; it is never run.
	id := strings.TrimSpace(Run(tb, d.Command(tb.Context(), "create", "--network=none", ref, "none")))
	defer Run(tb, d.Command(tb.Context(), "rm", id))
	unpack(tb, d.Command(tb.Context(), "export", id), dir)
}

// unpack gives the tar that export writes to tar, which unpacks it into dir.
func unpack(tb testing.TB, export *exec.Cmd, dir string) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	untar := exec.CommandContext(tb.Context(), "tar", "-x", "--numeric-owner", "-p", "-C", dir)
	var said strings.Builder
	untar.Stderr = &said
	in, err := untar.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := untar.Start(); err != nil {
		tb.Fatal(err)
	}
	export.Stdout = in
	exported := Try(tb, export)
	_ = in.Close()
	if err := untar.Wait(); err != nil || exported.Code != 0 {
		tb.Fatalf("%s: exit code %d, tar: %v\n%s%s", export, exported.Code, err, exported.Stderr, said.String())
	}
}
