package builder

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"

	"terrine/builder/layer/codec"
)

// TestProbeSaysWhatBuildCompresses: for random closures, specs, codecs of layers and
// content-dedup, with a memo that earlier builds have filled by halves, probe's
// digests are those of build, with and without a memo, and those of the bytes in the
// archive.
func TestProbeSaysWhatBuildCompresses(t *testing.T) {
	codecs := []codec.Codec{
		codec.None(), mustCodec(t, codec.Gzip, codec.Default), mustCodec(t, codec.Gzip, 6), mustCodec(t, codec.Zstd, codec.Default),
	}
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const n = 6
		s := randomStore(t, rng, n)
		m, told := openMemo(t, t.TempDir())
		for range 4 {
			text, c := randomSpec(rng, n), codecs[rng.IntN(len(codecs))]
			o := s.options()
			o.ContentDedup = rng.IntN(2) == 0
			plan, err := NewPlan(t.Context(), s.spec(t, text), o)
			if err != nil {
				t.Fatal(err)
			}
			archive := func(o Options) (*Result, []byte) {
				t.Helper()
				var out bytes.Buffer
				r, err := plan.WriteArchive(t.Context(), Output{Writer: &out, LayerCodec: c}, o)
				if err != nil {
					t.Fatal(err)
				}
				return r, out.Bytes()
			}
			fresh, want := archive(o)
			o.Memo = m
			before, _, err := plan.Probe(t.Context(), m, c)
			if err != nil || before != nil && !sameImage(before, fresh) {
				t.Errorf("%s by %s: probe, before it is built: %+v (%v), build makes %+v", text, c.ID(), before, err, fresh)
			}
			built, got := archive(o)
			after, misses, err := plan.Probe(t.Context(), m, c)
			if err != nil || after == nil {
				t.Fatalf("%s by %s: probe: misses %+v (%v)", text, c.ID(), misses, err)
			}
			if !sameImage(built, fresh) || !sameImage(after, fresh) || !bytes.Equal(got, want) {
				t.Errorf("%s by %s:\nwithout memo %+v\nwith memo %+v\nprobe %+v", text, c.ID(), fresh, built, after)
			}
			checkBlobs(t, readTar(t, bytes.NewReader(got)), after)
		}
		if len(*told) != 0 {
			t.Errorf("warnings %q", *told)
		}
	}
}

// checkBlobs reads the digests again from an archive: of the manifest, the config
// and each layer.
func checkBlobs(t *testing.T, members map[string][]byte, r *Result) {
	t.Helper()
	blob := func(d digest.Digest) []byte {
		b, ok := members["blobs/sha256/"+d.Encoded()]
		if !ok || digest.FromBytes(b) != d {
			t.Errorf("the archive has no blob %s, or another under its name", d)
		}
		return b
	}
	var manifest struct {
		Config struct{ Digest digest.Digest }
		Layers []struct {
			Digest    digest.Digest
			Size      int
			MediaType string
		}
	}
	if err := json.Unmarshal(blob(r.Digest), &manifest); err != nil {
		t.Fatal(err)
	}
	blob(manifest.Config.Digest)
	if manifest.Config.Digest != r.ImageID || len(manifest.Layers) != len(r.Layers) {
		t.Fatalf("the manifest says %+v, probe %+v", manifest, r)
	}
	for i, l := range manifest.Layers {
		if want := r.Layers[i]; l.Digest != want.Digest || len(blob(l.Digest)) != l.Size || int64(l.Size) != want.Size || l.MediaType != want.MediaType {
			t.Errorf("layer %d: the manifest says %+v, probe %+v", i, l, want)
		}
	}
}
