// Package image makes the documents of OCI images: config, manifest, index, and
// docker's manifest.json beside them.
//
// The documents are canonical: a function of what they say, with fields in a
// fixed order, maps sorted, no space, and nothing escaped that need not be.
// They follow the OCI image specification 1.1; fields of a config that only
// docker knows are kept as they are. Nothing here touches layers, or a disk.
package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"terrine/store/fault"
)

// Media types of layers, for Layer.MediaType.
const (
	LayerTar  = v1.MediaTypeImageLayer
	LayerGzip = v1.MediaTypeImageLayerGzip
	LayerZstd = v1.MediaTypeImageLayerZstd
)

// Layer is a layer as an image refers to it.
type Layer struct {
	DiffID    digest.Digest // of the uncompressed tar
	Digest    digest.Digest // of the blob
	Size      int64         // of the blob, in bytes
	MediaType string        // one of LayerTar, LayerGzip, LayerZstd
	// Comment goes into the history; see Comment.
	Comment     string
	Annotations map[string]string // of the descriptor
}

// Options say what an image is.
type Options struct {
	Platform Platform
	// Created is the date of the image and of each entry of its history.
	Created time.Time
	// Config is the config object of containers. Its members are kept in their
	// order and byte for byte but for space between tokens; those that are null
	// are left out. Empty means "{}".
	Config json.RawMessage
	// Labels are added to the labels of Config, and win over them.
	Labels map[string]string
	// Layers are the lowest first: 1 to MaxLayers.
	Layers []Layer
	// Annotations are those of the manifest.
	Annotations map[string]string
}

// Image is the documents of one image. The caller must not modify them.
type Image struct {
	Config   []byte
	Manifest []byte
	// ConfigDescriptor and ManifestDescriptor refer to the two. The digest of
	// the config is what docker calls the image ID. That of the manifest has a
	// platform, and no annotations.
	ConfigDescriptor   v1.Descriptor
	ManifestDescriptor v1.Descriptor
	Layers             []Layer
}

// createdBy says in a history who made a layer.
const createdBy = "terrine"

// configFile is the document that v1.Image is, with the config verbatim.
type configFile struct {
	Created      string          `json:"created"`
	Architecture string          `json:"architecture"`
	Variant      string          `json:"variant,omitempty"`
	OS           string          `json:"os"`
	Config       json.RawMessage `json:"config"`
	RootFS       rootFS          `json:"rootfs"`
	History      []historyEntry  `json:"history"`
}

type rootFS struct {
	Type    string          `json:"type"`
	DiffIDs []digest.Digest `json:"diff_ids"`
}

type historyEntry struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
	Comment   string `json:"comment,omitempty"`
}

// manifestFile is v1.Manifest with mediaType always there.
type manifestFile struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// New makes the documents of an image.
func New(o Options) (*Image, error) {
	if err := o.check(); err != nil {
		return nil, fault.New(fault.Refused, fmt.Errorf("make image: %w", err))
	}
	config, err := mergeConfig(o.Config, o.Labels)
	if err != nil {
		return nil, fault.New(fault.Refused, fmt.Errorf("make image: config: %w", err))
	}
	img := &Image{Layers: o.Layers}
	if img.Config, err = encode(o.configFile(config)); err != nil {
		return nil, fmt.Errorf("make image: config: %w", err)
	}
	img.ConfigDescriptor = describe(v1.MediaTypeImageConfig, img.Config)
	if img.Manifest, err = encode(o.manifestFile(img.ConfigDescriptor)); err != nil {
		return nil, fmt.Errorf("make image: manifest: %w", err)
	}
	img.ManifestDescriptor = describe(v1.MediaTypeImageManifest, img.Manifest)
	img.ManifestDescriptor.Platform = &v1.Platform{
		OS: o.Platform.OS, Architecture: o.Platform.Architecture, Variant: o.Platform.Variant,
	}
	return img, nil
}

// Hash returns 32 hexadecimal digits that identify the image: a tag for one
// that has no other.
func (img *Image) Hash() string { return img.ConfigDescriptor.Digest.Encoded()[:32] }

func (o *Options) check() error {
	if err := CheckOS(o.Platform.OS); err != nil {
		return err
	}
	if err := CheckArchitecture(o.Platform.Architecture); err != nil {
		return err
	}
	if v := o.Platform.Variant; v != "" {
		if err := CheckVariant(v); err != nil {
			return err
		}
	}
	if y := o.Created.UTC().Year(); y < 0 || y > 9999 {
		return fmt.Errorf("created: year %d has no RFC 3339 form", y)
	}
	if n := len(o.Layers); n == 0 || n > MaxLayers {
		return fmt.Errorf("%d layers: want 1 to %d", n, MaxLayers)
	}
	for i, l := range o.Layers {
		if err := l.check(); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return nil
}

func (l *Layer) check() error {
	if err := l.DiffID.Validate(); err != nil {
		return fmt.Errorf("diffID %q: %w", l.DiffID, err)
	}
	if err := l.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", l.Digest, err)
	}
	switch l.MediaType {
	case LayerTar:
		if l.Digest != l.DiffID {
			return errors.New("it is not compressed, but its digest is not its diffID")
		}
	case LayerGzip, LayerZstd:
	default:
		return fmt.Errorf("unknown media type %q", l.MediaType)
	}
	if l.Size < 0 {
		return fmt.Errorf("size %d is negative", l.Size)
	}
	return nil
}

func (o *Options) configFile(config json.RawMessage) configFile {
	created := o.Created.UTC().Format(time.RFC3339Nano)
	f := configFile{
		Created:      created,
		Architecture: o.Platform.Architecture,
		Variant:      o.Platform.Variant,
		OS:           o.Platform.OS,
		Config:       config,
		RootFS:       rootFS{Type: "layers"},
	}
	for _, l := range o.Layers {
		f.RootFS.DiffIDs = append(f.RootFS.DiffIDs, l.DiffID)
		f.History = append(f.History, historyEntry{created, createdBy, l.Comment})
	}
	return f
}

func (o *Options) manifestFile(config v1.Descriptor) manifestFile {
	f := manifestFile{
		SchemaVersion: schemaVersion,
		MediaType:     v1.MediaTypeImageManifest,
		Config:        config,
		Annotations:   maps.Clone(o.Annotations),
	}
	for _, l := range o.Layers {
		f.Layers = append(f.Layers, v1.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size, Annotations: maps.Clone(l.Annotations)})
	}
	return f
}

// Comment returns what the history says of a layer that holds paths: all of
// them if they are short enough together, else the first and how many more.
func Comment(paths []string) string {
	var s strings.Builder
	s.WriteString("store paths:")
	for i, p := range paths {
		if s.Len()+len(p) > maxCommentSize {
			fmt.Fprintf(&s, " and %d more", len(paths)-i)
			break
		}
		s.WriteString(" " + p)
	}
	return s.String()
}

func describe(mediaType string, document []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(document), Size: int64(len(document))}
}

// encode returns v as JSON without escapes for HTML, without a newline at the
// end, and no larger than what registries take.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if b.Len() > maxDocumentSize {
		return nil, fault.New(fault.Refused, fmt.Errorf("%d bytes: registries take at most %d", b.Len(), maxDocumentSize))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
