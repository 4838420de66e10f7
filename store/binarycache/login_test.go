package binarycache

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"terrine/store/compression"
	"terrine/store/fault"
)

const user = "me"

// guarded wants the login for everything, as a private cache does.
func guarded(files http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != user || p != canary {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	})
}

// TestLogin sends credentials of netrc, and of the URL, to the cache itself.
func TestLogin(t *testing.T) {
	b := newBench(t, compression.Zstd)
	b.Config.Handler = guarded(b.Config.Handler)
	o := b.options(t)
	b.fails(t, b.fetch(t, o), fault.Auth, "401")
	o.Logins = []Login{{"other.example.org", user, canary}}
	b.fails(t, b.fetch(t, o), fault.Auth, "401")
	o.Logins = []Login{{"127.0.0.1", user, "wrong"}}
	b.fails(t, b.fetch(t, o), fault.Auth, "401")
	o.Logins = []Login{{"127.0.0.1", user, canary}}
	if err := b.fetch(t, o); err != nil {
		t.Fatal(err)
	}
	o.Logins = nil
	plain := b.URL
	b.URL = strings.Replace(plain, "http://", "http://"+user+":"+canary+"@", 1)
	b.store = newStore(t)
	if err := b.fetch(t, o); err != nil {
		t.Error(err)
	}
	b.URL = strings.Replace(plain, "http://", "http://"+canary+":"+canary+"@", 1)
	b.store = newStore(t)
	b.fails(t, b.fetch(t, o), fault.Auth, "401")
}

// TestLoginStaysAtHome has the cache lead elsewhere, by redirects and by URLs in
// narinfos, and looks for the login in what arrives there.
func TestLoginStaysAtHome(t *testing.T) {
	for _, foreign := range []string{"another port", "another name"} {
		t.Run(foreign, func(t *testing.T) {
			b := newBench(t, compression.Zstd)
			home := guarded(b.Config.Handler)
			files := http.FileServer(http.Dir(b.dir))
			var got []string
			away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for name, values := range r.Header {
					got = append(got, name+": "+strings.Join(values, ","))
				}
				got = append(got, r.URL.String())
				files.ServeHTTP(w, r)
			}))
			t.Cleanup(away.Close)
			target := away.URL
			if foreign == "another name" {
				target = strings.Replace(target, "127.0.0.1", "localhost", 1)
			}
			b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, _, ok := r.BasicAuth(); ok && strings.HasPrefix(r.URL.Path, "/nar/") {
					w.Header().Set("Set-Cookie", "session="+canary)
					http.Redirect(w, r, target+r.URL.Path, http.StatusTemporaryRedirect)
					return
				}
				home.ServeHTTP(w, r)
			})
			o := b.options(t)
			o.Logins = []Login{{"127.0.0.1", user, canary}, {"localhost", user, canary}, {"", user, canary}}
			if err := b.fetch(t, o); err != nil {
				t.Fatal(err)
			}
			wellKept(t, b.store, 2)
			if len(got) == 0 {
				t.Fatal("nothing arrived at the other server")
			}
			for _, line := range got {
				if strings.Contains(line, canary) || strings.HasPrefix(line, "Authorization") || strings.HasPrefix(line, "Cookie") || strings.HasPrefix(line, "Referer") {
					t.Errorf("the other server is told %s", line)
				}
			}
		})
	}
}

// TestAllowed says where a cache may lead.
func TestAllowed(t *testing.T) {
	cases := []struct {
		base, from, to string
		want           bool
	}{
		{"https://c.example", "https://c.example/x", "https://cdn.example/y", true},
		{"http://c.example", "http://c.example/x", "https://c.example/y", true},
		{"http://c.example", "http://c.example/x", "http://other.example:8080/y", true},
		{"https://c.example", "https://c.example/x", "http://c.example/y", false},
		{"https://c.example", "https://c.example/x", "ftp://c.example/y", false},
		{"https://c.example", "https://c.example/x", "file:///etc/passwd", false},
		{"https://c.example", "https://c.example/x", "https:///y", false},
		{"http://c.example", "http://c.example/x", "http://127.0.0.1/y", false},
		{"http://c.example", "http://c.example/x", "http://LOCALHOST./y", false},
		{"http://c.example", "http://c.example/x", "http://a.localhost/y", false},
		{"http://c.example", "http://c.example/x", "http://[::1]:80/y", false},
		{"http://c.example", "http://c.example/x", "http://0.0.0.0/y", false},
		{"http://c.example", "http://c.example/x", "http://169.254.169.254/y", false},
		{"http://c.example", "http://c.example/x", "http://[fe80::1%25eth0]/y", false},
		{"http://127.0.0.1:1", "http://127.0.0.1:1/x", "http://127.0.0.1:2/y", true},
		{"http://localhost", "http://localhost/x", "http://127.0.0.1/y", true},
		{"http://127.0.0.1", "http://127.0.0.1/x", "http://169.254.169.254/y", false},
		{"http://169.254.1.1", "http://169.254.1.1/x", "http://169.254.1.1/y", true},
	}
	for _, c := range cases {
		base, _ := url.Parse(c.base)
		from, _ := url.Parse(c.from)
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		err = newRemote(base, Options{}.withDefaults()).allowed(from, to)
		if (err == nil) != c.want || err != nil && fault.CodeOf(err) != fault.Refused {
			t.Errorf("%s: from %s to %s: %v", c.base, c.from, c.to, err)
		}
	}
}

// TestSameOrigin says what counts as the cache itself.
func TestSameOrigin(t *testing.T) {
	base, _ := url.Parse("https://c.example/cache/")
	for s, want := range map[string]bool{
		"https://c.example/x":      true,
		"https://C.Example:443/x":  true,
		"https://c.example:8443/x": false,
		"http://c.example/x":       false,
		"http://c.example:443/x":   false,
		"https://sub.c.example/x":  false,
		"https://c.example.evil/x": false,
		"https://c.example@evil/x": false,
	} {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := sameOrigin(u, base); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}

// TestPlaceOfNAR resolves what narinfos say against the cache.
func TestPlaceOfNAR(t *testing.T) {
	for _, name := range []string{"../../etc/passwd", "/etc/passwd", "nar/../../x", "http://127.0.0.1/x"} {
		c, err := Open(t.Context(), fileURL(t, "testdata/nix"), Options{Keys: testKeys(t)})
		if err != nil {
			t.Fatal(err)
		}
		n := goldenInfo(t, topPath)
		n.URL = name
		r := c.NAR(t.Context(), n)
		if _, err := r.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s was read", name)
		}
		r.Close()
		c.Close()
	}
}
