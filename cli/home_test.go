package cli

import "testing"

func TestDirectoriesByDefault(t *testing.T) {
	for _, c := range []struct {
		home, cache, store string
	}{
		{"/home/u", "/home/u/.cache/terrine", "/home/u/.local/share/terrine"},
		{"home", "", ""},
		{"", "", ""},
		// Made, it would keep a Nix without a sandbox from building anything.
		{"/homeless-shelter", "", ""},
		{"/homeless-shelter/", "", ""},
	} {
		a := &app{Env: &Env{Getenv: func(name string) string { return map[string]string{"HOME": c.home}[name] }}}
		if got := a.cacheDir(&cacheFlags{}); got != c.cache {
			t.Errorf("with HOME=%q the cache is %q, want %q", c.home, got, c.cache)
		}
		got, err := a.storeRoot(&storeFlags{})
		if got != c.store || (err == nil) != (c.store != "") {
			t.Errorf("with HOME=%q the store is %q (%v), want %q", c.home, got, err, c.store)
		}
	}
}
