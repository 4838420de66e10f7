package rootfs

import (
	"fmt"
	"strings"

	"terrine/store"
)

// FakeNss asks for /etc/passwd, /etc/group and /etc/nsswitch.conf as files of
// the image itself: containerd refuses links to absolute paths there. They
// have the users root and nobody, and between the two what is given here.
type FakeNss struct {
	ExtraPasswdLines []string // of passwd(5), without a newline
	ExtraGroupLines  []string // of group(5)
}

// makePresets does the second step.
func (b *build) makePresets() error {
	o := b.options
	presets := []struct {
		name string
		on   bool
		make func(from string) error
	}{
		{"fakeNss", o.FakeNss != nil, b.makeNss},
		{"tmp", o.Tmp, b.makeTmp},
		{"caCertificates", o.CACertificates != nil, b.linkCertificates},
		{"binSh", o.BinSh != nil, b.linkBinSh},
		{"usrBinEnv", o.UsrBinEnv != nil, b.linkUsrBinEnv},
	}
	for _, p := range presets {
		if !p.on {
			continue
		}
		if err := p.make("preset " + p.name); err != nil {
			return fmt.Errorf("make preset %s: %w", p.name, err)
		}
	}
	return nil
}

func (b *build) makeNss(from string) error {
	files := []struct{ path, text string }{
		{"etc/passwd", lines("root:x:0:0:root user:/var/empty:/bin/sh", b.options.FakeNss.ExtraPasswdLines,
			"nobody:x:65534:65534:nobody:/var/empty:/bin/sh")},
		{"etc/group", lines("root:x:0:", b.options.FakeNss.ExtraGroupLines, "nobody:x:65534:")},
		{"etc/nsswitch.conf", "hosts: files dns\n"},
	}
	for _, f := range files {
		if err := b.put(f.path, newText(from, []byte(f.text)), true); err != nil {
			return err
		}
	}
	empty := newDir(from)
	empty.mode = 0o555
	return b.put("var/empty", empty, true)
}

func lines(first string, middle []string, last string) string {
	var s strings.Builder
	s.WriteString(first + "\n")
	for _, line := range middle {
		s.WriteString(line + "\n")
	}
	s.WriteString(last + "\n")
	return s.String()
}

func (b *build) makeTmp(from string) error {
	for _, at := range []string{"tmp", "var/tmp"} {
		dir := newDir(from)
		dir.mode = 0o1777
		if err := b.put(at, dir, true); err != nil {
			return err
		}
	}
	return nil
}

func (b *build) linkCertificates(from string) error {
	bundle, err := b.fileIn(*b.options.CACertificates, "etc/ssl/certs/ca-bundle.crt", "etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		return err
	}
	return b.putLinks(from, bundle, "etc/ssl/certs/ca-bundle.crt", "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt")
}

func (b *build) linkBinSh(from string) error {
	shell, err := b.fileIn(*b.options.BinSh, "bin/bash", "bin/sh")
	if err != nil {
		return err
	}
	return b.putLinks(from, shell, "bin/sh")
}

func (b *build) linkUsrBinEnv(from string) error {
	env, err := b.fileIn(*b.options.UsrBinEnv, "bin/env", "usr/bin/env")
	if err != nil {
		return err
	}
	return b.putLinks(from, env, "usr/bin/env")
}

// fileIn returns the first of rels that is a file in obj, behind links or not.
func (b *build) fileIn(obj store.Object, rels ...string) (place, error) {
	for _, rel := range rels {
		p := place{obj, rel}
		_, info, err := b.objects.resolve(p)
		if err != nil {
			return place{}, err
		}
		if info != nil && info.Mode().IsRegular() {
			return p, nil
		}
	}
	if _, err := b.objects.lstat(place{object: obj}); err != nil {
		return place{}, err
	}
	return place{}, refuse("%s has no %s", obj.Path, strings.Join(rels, " and no "))
}

// putLinks makes links to p at each of the given paths.
func (b *build) putLinks(from string, p place, ats ...string) error {
	for _, at := range ats {
		link := newLink(from, p.logical())
		link.origin = &p
		if err := b.put(at, link, true); err != nil {
			return err
		}
	}
	return nil
}

// sameNode reports whether a link of contents and what a preset puts in its
// place hold the same.
func (b *build) sameNode(there, n *node) (bool, error) {
	switch {
	case there.origin == nil:
		return there.kind == n.kind && there.link == n.link && string(there.text) == string(n.text), nil
	case n.origin != nil:
		return b.alike(*there.origin, *n.origin)
	case n.kind != File:
		return false, nil
	}
	p, info, err := b.objects.resolve(*there.origin)
	if err != nil || info == nil || !info.Mode().IsRegular() || info.Size() != n.size || executable(info) {
		return false, err
	}
	f, err := b.objects.open(p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return b.sameBytes(f, strings.NewReader(string(n.text)))
}
