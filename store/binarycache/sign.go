package binarycache

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"terrine/store"
	"terrine/store/fault"
)

// PublicKey is a key that signatures are checked by.
type PublicKey struct {
	Name string // as in Sig: "cache.example.org-1"
	key  ed25519.PublicKey
}

// NixOS is the public key of cache.nixos.org, which Nix trusts too if it is
// told nothing else.
const NixOS = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="

// ParsePublicKey reads NAME:BASE64, as in Nix's setting trusted-public-keys.
func ParsePublicKey(s string) (PublicKey, error) {
	name, raw, err := parseNamed(s, ed25519.PublicKeySize)
	if err != nil {
		return PublicKey{}, fault.New(fault.Refused, fmt.Errorf("parse public key %.100q: %w", s, err))
	}
	return PublicKey{name, raw}, nil
}

// SecretKey is a key that signs.
type SecretKey struct {
	Name string
	key  ed25519.PrivateKey
}

// ParseSecretKey reads what `nix-store --generate-binary-cache-key` writes:
// NAME:BASE64. Its errors do not show the key.
func ParseSecretKey(text []byte) (*SecretKey, error) {
	name, raw, err := parseNamed(strings.TrimSpace(string(text)), ed25519.PrivateKeySize)
	if err != nil {
		return nil, fault.New(fault.Refused, fmt.Errorf("parse secret key: %w", err))
	}
	key := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	if !bytes.Equal(key, raw) {
		return nil, fault.New(fault.Refused, errors.New("parse secret key: its halves do not belong together"))
	}
	return &SecretKey{name, key}, nil
}

// sign returns the signature of what is known of a path.
func (k *SecretKey) sign(info *store.Info) string {
	sum := ed25519.Sign(k.key, fingerprint(info))
	return k.Name + ":" + base64.StdEncoding.EncodeToString(sum)
}

func parseSignature(s string) (name string, sum []byte, err error) {
	return parseNamed(s, ed25519.SignatureSize)
}

// parseNamed reads a name, a colon and size bytes in base-64. Its errors show
// none of the bytes: they may be secret.
func parseNamed(s string, size int) (string, []byte, error) {
	name, text, ok := strings.Cut(s, ":")
	if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", nil, errors.New("want NAME:BASE64")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != size {
		return "", nil, fmt.Errorf("want NAME and %d bytes in base-64", size)
	}
	return name, raw, nil
}

// fingerprint returns what a signature is of.
func fingerprint(info *store.Info) []byte {
	refs := make([]string, len(info.References))
	for i, ref := range info.References {
		refs[i] = string(ref)
	}
	return []byte("1;" + string(info.Path) + ";" + store.FormatHash(info.NARHash) + ";" +
		strconv.FormatInt(info.NARSize, 10) + ";" + strings.Join(refs, ","))
}

// judge decides whether info may be trusted. If not, the error has the class
// fault.Integrity. content is not nil if the path is trusted by its contents
// alone, which must then be compared with it.
func judge(info *store.Info, keys []PublicKey) (content *store.ContentAddress, err error) {
	var signers []string
	wrong := ""
	for _, sig := range info.Signatures {
		name, sum, err := parseSignature(sig)
		if err != nil {
			continue // of a store that took it from elsewhere
		}
		signers = append(signers, name)
		for _, k := range keys {
			if k.Name != name {
				continue
			}
			if ed25519.Verify(k.key, fingerprint(info), sum) {
				return nil, nil
			}
			wrong = name
		}
	}
	if ca, ok := contentAddressed(info); ok {
		return &ca, nil
	}
	switch {
	case wrong != "":
		err = fmt.Errorf("its signature by the key %s is wrong", wrong)
	case len(signers) > 0:
		err = fmt.Errorf("no trusted key has signed it, only %s", strings.Join(signers, ", "))
	default:
		err = errors.New("it is not signed")
	}
	return nil, fault.New(fault.Integrity, fault.Hint(err, "say which keys may sign with --trusted-public-key NAME:BASE64"))
}

// contentAddressed reports whether info.Path is the one that its content
// address makes.
func contentAddressed(info *store.Info) (store.ContentAddress, bool) {
	ca, err := store.ParseContentAddress(info.CA)
	if err != nil {
		return ca, false
	}
	p, err := ca.Path(info.Path.Dir(), info.Path.Name(), info.References)
	return ca, err == nil && p == info.Path
}
