package binarycache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"terrine/store/fault"
)

// maxHops bounds redirects: mirrors need one or two.
const maxHops = 5

// remote is a cache behind HTTP.
type remote struct {
	base      *url.URL // its path ends in a slash; without user and password
	login     *Login   // for base's origin and nothing else; nil for none
	transport *http.Transport
	o         *Options
}

func newRemote(u *url.URL, o *Options) *remote {
	base := *u
	base.User = nil
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	base.RawPath = ""
	r := &remote{base: &base, transport: newTransport(o), o: o}
	if u.User != nil {
		password, _ := u.User.Password()
		r.login = &Login{User: u.User.Username(), Password: password}
	} else if login, ok := loginFor(o.Logins, strings.ToLower(u.Hostname())); ok {
		r.login = &login
	}
	return r
}

// newTransport returns the transport for the network. It decompresses nothing:
// what a cache has is compared as it is stored.
func newTransport(o *Options) *http.Transport {
	dialer := &net.Dialer{Timeout: o.Stall, KeepAlive: o.Stall}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    o.Stall,
		ResponseHeaderTimeout:  o.Stall,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    o.Workers,
		IdleConnTimeout:        time.Minute,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
	}
}

func (r *remote) close() error {
	r.transport.CloseIdleConnections()
	return nil
}

func (r *remote) open(ctx context.Context, name string) (io.ReadCloser, error) {
	ref, err := url.Parse(name)
	if err != nil {
		return nil, fault.New(fault.Refused, errors.New("it is not a URL"))
	}
	u := r.base.ResolveReference(ref)
	if err := r.allowed(r.base, u); err != nil {
		return nil, err
	}
	d := &download{remote: r, ctx: ctx, url: u, total: -1}
	if err := d.connect(); err != nil {
		return nil, err
	}
	return d, nil
}

// allowed reports whether to is where from may lead: over HTTP, from HTTPS to
// nothing less, and not from a cache elsewhere to this machine or to addresses
// of its link, where cloud machines have their secrets.
func (r *remote) allowed(from, to *url.URL) error {
	switch {
	case to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "":
		return fault.New(fault.Refused, fmt.Errorf("%s leads to %s, which is not HTTP", show(from), show(to)))
	case from.Scheme == "https" && to.Scheme == "http":
		return fault.New(fault.Refused, fmt.Errorf("%s leads to %s, which is not encrypted", show(from), show(to)))
	case isLocal(to.Hostname()) && strings.EqualFold(to.Hostname(), r.base.Hostname()):
		return nil
	case isLinkLocal(to.Hostname()), isLocal(to.Hostname()) && !isLocal(r.base.Hostname()):
		return fault.New(fault.Refused, fmt.Errorf("%s leads to %s, an address of this machine or its link", show(from), show(to)))
	}
	return nil
}

// isLocal reports whether a host in a URL is this machine, or on its link.
func isLocal(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) || isLinkLocal(host)
}

func isLinkLocal(host string) bool {
	host, _, _ = strings.Cut(host, "%")
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLinkLocalUnicast()
}

// get requests u and follows redirects. header is sent with every request, and
// the credentials with those to the cache itself.
func (r *remote) get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	for range maxHops + 1 {
		req := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: header.Clone()}).WithContext(ctx)
		req.Header.Set("User-Agent", "terrine")
		if r.login != nil && sameOrigin(u, r.base) {
			req.SetBasicAuth(r.login.User, r.login.Password)
		}
		resp, err := r.transport.RoundTrip(req)
		if err != nil {
			return nil, fmt.Errorf("get %s: %w", show(u), err)
		}
		next, err := r.redirect(u, resp)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		if next == nil {
			return resp, nil
		}
		resp.Body.Close()
		u = next
	}
	return nil, fault.New(fault.Network, fmt.Errorf("get %s: more than %d redirects", show(u), maxHops))
}

// redirect returns where a response leads, or nil for one that is an answer.
func (r *remote) redirect(u *url.URL, resp *http.Response) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	next, err := u.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fault.New(fault.Refused, fmt.Errorf("get %s: a redirect that leads to no URL", show(u)))
	}
	next.User, next.Fragment = nil, "" // a server hands out no credentials
	return next, r.allowed(u, next)
}

// sameOrigin reports whether two URLs have scheme, host and port in common.
func sameOrigin(u, v *url.URL) bool {
	return u.Scheme == v.Scheme && strings.EqualFold(u.Hostname(), v.Hostname()) && port(u) == port(v)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
