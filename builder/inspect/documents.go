package inspect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Names of the members with which reading begins.
const (
	dockerManifest = "manifest.json"
	ociIndex       = ocispec.ImageIndexFile
)

// dockerImage is an image in the manifest.json of a docker archive.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// config is what is read of the config of an image.
type config struct {
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	Variant      string          `json:"variant"`
	Created      *time.Time      `json:"created"`
	Config       json.RawMessage `json:"config"`
	RootFS       struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		Comment    string `json:"comment"`
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
}

// images puts together what the archive's documents say. Where it is a docker
// archive and an OCI layout at once, both tell of the same images.
func (a *archive) images(ctx context.Context) ([]Image, error) {
	var images []Image
	if m, ok := a.members[dockerManifest]; ok {
		var list []dockerImage
		if bytes.HasPrefix(bytes.TrimLeft(m.text, " \t\r\n"), []byte("{")) {
			return nil, fmt.Errorf("%s: is a manifest as registries have it, and not that of a docker archive", m.name)
		}
		if err := m.decode(&list); err != nil {
			return nil, err
		}
		if len(list) > maxImages {
			return nil, fmt.Errorf("%s: %d images: at most %d are read", dockerManifest, len(list), maxImages)
		}
		for i := range list {
			if err := ctx.Err(); err != nil { // many may have one large config
				return nil, err
			}
			image, err := a.dockerImage(&list[i])
			if err != nil {
				return nil, fmt.Errorf("%s: image %d: %w", dockerManifest, i, err)
			}
			images = append(images, *image)
		}
	}
	if m, ok := a.members[ociIndex]; ok {
		if err := a.index(ctx, m, "", 0, &images); err != nil {
			return nil, err
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("no image in it: want %s of a docker archive, or %s of an OCI layout", dockerManifest, ociIndex)
	}
	return images, nil
}

// decode reads a document as JSON.
func (m *member) decode(v any) error {
	if m.text == nil {
		return fmt.Errorf("%s: %w", m.name, cmp.Or(m.unread, errNoJSON))
	}
	if err := json.Unmarshal(m.text, v); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

var errNoJSON = errors.New("is no JSON document")

// imageConfig reads a document as the config of an image. Many images may have it.
func (m *member) imageConfig() (*config, error) {
	if m.config == nil {
		if err := m.verifyName(); err != nil {
			return nil, err
		}
		c := &config{}
		if err := m.decode(c); err != nil {
			return nil, err
		}
		m.config = c
	}
	return m.config, nil
}

// follow returns the member of that name, through links.
func (a *archive) follow(name string) (*member, error) {
	first := name
	for range 8 {
		m, ok := a.members[strings.TrimPrefix(name, "/")]
		if !ok {
			return nil, fmt.Errorf("%s: is not in the archive", name)
		}
		if m.link == "" {
			return m, nil
		}
		name = m.link
	}
	return nil, fmt.Errorf("%s: a link to a link to a link", first)
}

// nameDigest finds the digest that members are named by: blobs of a layout,
// and configs of docker archives.
var nameDigest = regexp.MustCompile(`^(?:blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.json)$`)

// verifyName compares a member with the digest in its name, if it has one.
func (m *member) verifyName() error {
	parts := nameDigest.FindStringSubmatch(m.name)
	if parts == nil {
		return nil
	}
	if want := digest.NewDigestFromEncoded(digest.SHA256, parts[1]+parts[2]); want != m.digest {
		return mismatch(m.name, want, m.digest)
	}
	return nil
}

func (a *archive) dockerImage(d *dockerImage) (*Image, error) {
	m, err := a.follow(d.Config)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	var blobs []*member
	for i, name := range d.Layers {
		blob, err := a.follow(name)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
		blobs = append(blobs, blob)
	}
	image, err := newImage(m, blobs)
	if err != nil {
		return nil, err
	}
	image.Names = unique(d.RepoTags)
	image.named = len(image.Names) > 0
	return image, nil
}

// newImage makes an image of its config and layers.
func newImage(m *member, blobs []*member) (*Image, error) {
	c, err := m.imageConfig()
	if err != nil {
		return nil, err
	}
	if len(blobs) > maxLayers {
		return nil, fmt.Errorf("%s: %d layers: at most %d are read", m.name, len(blobs), maxLayers)
	}
	if len(c.RootFS.DiffIDs) != len(blobs) {
		return nil, fmt.Errorf("%s: has %d DiffIDs for %d layers", m.name, len(c.RootFS.DiffIDs), len(blobs))
	}
	image := &Image{ID: m.digest, OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, Config: c.Config}
	if c.Created != nil {
		image.Created = *c.Created
	}
	for i, blob := range blobs {
		if err := blob.verifyName(); err != nil {
			return nil, err
		}
		if blob.layer == nil {
			return nil, fmt.Errorf("layer %d: %s: is no layer: %w", i, blob.name, cmp.Or(blob.broken, errNoTar))
		}
		if err := checkDigest(c.RootFS.DiffIDs[i]); err != nil {
			return nil, fmt.Errorf("layer %d: DiffID %w", i, err)
		}
		if blob.layer.diffID != c.RootFS.DiffIDs[i] {
			return nil, mismatch(fmt.Sprintf("layer %d: %s: DiffID", i, blob.name), c.RootFS.DiffIDs[i], blob.layer.diffID)
		}
		image.Layers = append(image.Layers, Layer{
			Digest: blob.digest, Size: blob.size,
			DiffID: blob.layer.diffID, TarSize: blob.layer.tarSize, Entries: blob.layer.entries, Paths: blob.layer.paths,
		})
	}
	at := 0
	for _, h := range c.History {
		if !h.EmptyLayer && at < len(image.Layers) {
			image.Layers[at].Comment, image.Layers[at].CreatedBy = h.Comment, h.CreatedBy
			at++
		}
	}
	return image, nil
}

var errNoTar = errors.New("it is no tar")

// merge adds an image to those that are known, or, if the docker part of the
// archive has told of it or another name for it came before, joins the two.
func merge(images *[]Image, image *Image, name string) {
	for i := range *images {
		if old := &(*images)[i]; old.ID == image.ID && (old.Digest == "" || old.Digest == image.Digest) {
			image.Names, image.named = old.Names, old.named
			if !image.named {
				image.Names = unique(append(image.Names, name))
			}
			*old = *image
			return
		}
	}
	image.Names = unique([]string{name})
	*images = append(*images, *image)
}

// unique returns names without empty ones and repetitions.
func unique(names []string) []string {
	var out []string
	seen := map[string]bool{"": true} // an archive may have a million
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}
