package nix

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// export returns the file system of the image, unpacked.
func export(t *testing.T, i *image) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	i.docker.Export(t, i.ref, root)
	return root
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func createdNow(t *testing.T, i *image) {
	t.Helper()
	if age := time.Since(i.inspect(t).Created); age < -time.Minute || age > 20*time.Minute {
		t.Errorf("it is %v old", age)
	}
}

// serves tests that a container answers on a port. It has the network of the
// machine, since dockerd has no other here.
func serves(t *testing.T, i *image, port string) {
	t.Helper()
	name := "nix-serves-" + port
	start := i.docker.Command(t.Context(), "run", "--detach", "--network=host", "--name", name, i.ref)
	if said, err := start.CombinedOutput(); err != nil {
		t.Fatalf("docker run: %v\n%s", err, said)
	}
	defer func() { _ = i.docker.Command(t.Context(), "rm", "--force", name).Run() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || string(text) != "served by nginx\n" {
				t.Errorf("it answers %s: %q, %v", response.Status, text, err)
			}
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			said, _ := i.docker.Command(t.Context(), "logs", name).CombinedOutput()
			t.Fatalf("%v\n%s", err, said)
		}
	}
}
