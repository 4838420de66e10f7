package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"terrine/store/fault"
)

// Media types of docker's documents, which say the same as OCI's.
const (
	dockerIndex   = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema2 = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig  = "application/vnd.docker.container.image.v1+json"
)

// errNoImage is part of the error for the manifest of something else.
var errNoImage = errors.New("it is no image")

// ParseIndex reads an index, or docker's manifest list. Everything in it that
// is used later has been checked: digests are well formed, sizes not negative.
// Errors have the class fault.Refused.
func ParseIndex(data []byte) (*v1.Index, error) {
	var f struct {
		v1.Index
		Config json.RawMessage `json:"config"`
		Layers json.RawMessage `json:"layers"`
	}
	err := decodeStrict(data, &f)
	switch {
	case err != nil:
	case f.SchemaVersion != schemaVersion:
		err = fmt.Errorf("schemaVersion is %d, want %d", f.SchemaVersion, schemaVersion)
	case f.MediaType != "" && f.MediaType != v1.MediaTypeImageIndex && f.MediaType != dockerIndex:
		err = fmt.Errorf("media type %q is not that of an index", f.MediaType)
	case f.Config != nil || f.Layers != nil:
		err = errors.New("it is an index and a manifest at once")
	case len(f.Manifests) > maxManifests:
		err = fmt.Errorf("%d manifests: at most %d are read", len(f.Manifests), maxManifests)
	default:
		err = checkDescriptors("manifest", f.Manifests)
	}
	if err != nil {
		return nil, refuse(fmt.Errorf("read index: %w", err))
	}
	return &f.Index, nil
}

// ParseManifest reads the manifest of an image, OCI's or docker's, and checks
// it as ParseIndex does. A manifest of anything but an image is an error.
func ParseManifest(data []byte) (*v1.Manifest, error) {
	var f struct {
		v1.Manifest
		Manifests json.RawMessage `json:"manifests"`
	}
	err := decodeStrict(data, &f)
	switch {
	case err != nil:
	case f.SchemaVersion != schemaVersion:
		err = fmt.Errorf("schemaVersion is %d, want %d", f.SchemaVersion, schemaVersion)
	case f.MediaType != "" && f.MediaType != v1.MediaTypeImageManifest && f.MediaType != dockerSchema2:
		err = fmt.Errorf("media type %q is not that of an image", f.MediaType)
	case f.Manifests != nil:
		err = errors.New("it is an index and a manifest at once")
	case f.Config.MediaType != v1.MediaTypeImageConfig && f.Config.MediaType != dockerConfig:
		err = fmt.Errorf("config has media type %q: %w", f.Config.MediaType, errNoImage)
	case len(f.Layers) > maxReadLayers:
		err = fmt.Errorf("%d layers: at most %d are read", len(f.Layers), maxReadLayers)
	default:
		if err = checkDescriptor(&f.Config); err != nil {
			err = fmt.Errorf("config: %w", err)
			break
		}
		err = checkDescriptors("layer", f.Layers)
	}
	if err != nil {
		return nil, refuse(fmt.Errorf("read manifest: %w", err))
	}
	return &f.Manifest, nil
}

// ConfigFile is the config document of an image that was read.
type ConfigFile struct {
	v1.Image
	// Config is the config object as it was written; empty if there is none.
	// It hides the one of v1.Image, which knows only fields of OCI.
	Config json.RawMessage `json:"config"`
}

// ParseConfig reads the config of an image that has the given number of
// layers. There are as many diffIDs, all of them well formed.
func ParseConfig(data []byte, layers int) (*ConfigFile, error) {
	f := new(ConfigFile)
	err := decodeStrict(data, f)
	switch ids := f.RootFS.DiffIDs; {
	case err != nil:
	case f.RootFS.Type != "" && f.RootFS.Type != "layers":
		err = fmt.Errorf("rootfs has type %q, want layers", f.RootFS.Type)
	case len(ids) != layers:
		err = fmt.Errorf("%d diffIDs for %d layers", len(ids), layers)
	default:
		for i, id := range ids {
			if e := id.Validate(); e != nil {
				err = fmt.Errorf("diffID %d, %q: %w", i, id, e)
				break
			}
		}
	}
	if err != nil {
		return nil, refuse(fmt.Errorf("read config: %w", err))
	}
	if string(f.Config) == "null" {
		f.Config = nil
	}
	return f, nil
}

// Comments returns the history's comment for each of the image's layers, as
// far as the history goes.
func (f *ConfigFile) Comments() []string {
	comments := make([]string, len(f.RootFS.DiffIDs))
	i := 0
	for _, h := range f.History {
		if !h.EmptyLayer && i < len(comments) {
			comments[i] = h.Comment
			i++
		}
	}
	return comments
}

// Platform returns what the image is for, as far as its config says.
func (f *ConfigFile) Platform() Platform {
	return Platform{OS: f.OS, Architecture: f.Architecture, Variant: f.Variant}
}

// Verify reports whether data is what d refers to. Errors have the class
// fault.Integrity.
func Verify(d v1.Descriptor, data []byte) error {
	if int64(len(data)) != d.Size {
		return fault.New(fault.Integrity, fmt.Errorf("verify %s: %d bytes, not %d", d.Digest, len(data), d.Size))
	}
	if err := d.Digest.Validate(); err != nil {
		return fault.New(fault.Integrity, fmt.Errorf("verify %q: %w", d.Digest, err))
	}
	if got := d.Digest.Algorithm().FromBytes(data); got != d.Digest {
		return fault.New(fault.Integrity, fmt.Errorf("verify %s: the content has digest %s", d.Digest, got))
	}
	return nil
}

func checkDescriptors(what string, list []v1.Descriptor) error {
	for i := range list {
		if err := checkDescriptor(&list[i]); err != nil {
			return fmt.Errorf("%s %d: %w", what, i, err)
		}
	}
	return nil
}

func checkDescriptor(d *v1.Descriptor) error {
	switch err := d.Digest.Validate(); {
	case err != nil:
		return fmt.Errorf("digest %.80q: %w", d.Digest, err)
	case d.Digest.Algorithm() != digest.SHA256 && d.Digest.Algorithm() != digest.SHA512:
		return fmt.Errorf("digest %.80q: unknown algorithm", d.Digest)
	case d.Size < 0:
		return fmt.Errorf("size %d is negative", d.Size)
	case d.MediaType == "" || strings.ContainsAny(d.MediaType, " \n\x00"):
		return fmt.Errorf("media type %.80q is malformed", d.MediaType)
	case d.Data != nil:
		return Verify(*d, d.Data)
	}
	return nil
}
