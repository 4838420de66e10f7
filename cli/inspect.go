package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"terrine/builder/inspect"
	"terrine/store/fault"
)

type imageJSON struct {
	Names        []string           `json:"names"`
	Digest       string             `json:"digest,omitempty"` // of the manifest
	ImageID      string             `json:"imageID"`          // digest of the config
	OS           string             `json:"os"`
	Architecture string             `json:"architecture"`
	Variant      string             `json:"variant,omitempty"`
	Created      *time.Time         `json:"created,omitempty"`
	Config       json.RawMessage    `json:"config,omitempty"`
	Annotations  map[string]string  `json:"annotations,omitempty"`
	Layers       []inspectLayerJSON `json:"layers"`
}

type inspectLayerJSON struct {
	DiffID    string           `json:"diffID"`
	Digest    string           `json:"digest"`
	Size      int64            `json:"size"` // bytes of the blob
	MediaType string           `json:"mediaType,omitempty"`
	TarSize   int64            `json:"tarSize"` // bytes of the uncompressed tar
	Entries   int              `json:"entries"`
	Comment   string           `json:"comment,omitempty"`
	Paths     []string         `json:"paths"`
	PathSizes map[string]int64 `json:"pathSizes"` // bytes of contents, by path
}

func (a *app) inspectCommand() *cobra.Command {
	var asJSON, quiet bool
	var name string
	cmd := &cobra.Command{
		Use:   "inspect FILE|-",
		Short: "Show what is in an image archive",
		Long: `Show the config of an image, its layers, and the store paths in each of them.

FILE is an archive that terrine, docker save, podman save or skopeo has made: a
docker archive or an OCI image layout in a tar, plain or compressed. All of it
is read, and every digest in it is verified.`,
		Example: `  terrine inspect image.tar.gz
  docker save hello | terrine inspect - --json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := a.openInput(cmd.Context(), args[0])
			if errors.Is(err, syscall.EISDIR) {
				return fault.Hint(err, fmt.Sprintf("an image layout that is a directory is read as an archive of it: tar -c -C %s . | terrine inspect -", fault.Word(args[0])))
			}
			if err != nil {
				return err
			}
			defer in.Close()
			var images []inspect.Image
			err = a.showReading(quiet, "read", in, func(in io.Reader) (err error) {
				images, err = inspect.Read(cmd.Context(), in)
				return err
			})
			if err != nil {
				return fmt.Errorf("inspect %s: %w", args[0], err)
			}
			image, err := chooseImage(images, name)
			if err != nil {
				return fmt.Errorf("inspect %s: %w", args[0], err)
			}
			if asJSON {
				return writeJSON(a.Stdout, imageForJSON(image))
			}
			return writeImage(a.Stdout, image)
		},
	}
	cmd.Flags().StringVar(&name, "image", "", "`name`, digest or platform of the image, of several in one archive")
	jsonFlag(cmd.Flags(), &asJSON)
	quietFlag(cmd.Flags(), &quiet)
	return cmd
}

// chooseImage returns the image that is called name, or the only one. A platform
// may be named without its variant, unless there is one that has none.
func chooseImage(images []inspect.Image, name string) (*inspect.Image, error) {
	var found, variants []*inspect.Image
	var all []string
	for i := range images {
		image := &images[i]
		all = append(all, label(image))
		names := append([]string{image.Digest.String(), image.ID.String(), platform(image)}, image.Names...)
		if name == "" || slices.Contains(names, name) {
			found = append(found, image)
		} else if name == image.OS+"/"+image.Architecture {
			variants = append(variants, image)
		}
	}
	if len(found) == 0 {
		found = variants
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return nil, usagef("no image %q in it: there are %s", name, strings.Join(all, ", "))
	}
	return nil, usagef("%d images in it: choose one with --image: %s", len(found), strings.Join(all, ", "))
}

// label tells an image from the others of its archive.
func label(image *inspect.Image) string {
	id := image.Digest
	if id == "" {
		id = image.ID
	}
	return strings.Join(append(slices.Clone(image.Names), platform(image), id.String()), " ")
}

func platform(image *inspect.Image) string {
	s := image.OS + "/" + image.Architecture
	if image.Variant != "" {
		s += "/" + image.Variant
	}
	return s
}

func imageForJSON(image *inspect.Image) imageJSON {
	j := imageJSON{
		Names: array(image.Names), Digest: image.Digest.String(), ImageID: image.ID.String(),
		OS: image.OS, Architecture: image.Architecture, Variant: image.Variant,
		Config: image.Config, Annotations: image.Annotations, Layers: []inspectLayerJSON{},
	}
	if !image.Created.IsZero() {
		j.Created = &image.Created
	}
	for _, l := range image.Layers {
		layer := inspectLayerJSON{
			DiffID: l.DiffID.String(), Digest: l.Digest.String(), Size: l.Size, MediaType: l.MediaType,
			TarSize: l.TarSize, Entries: l.Entries, Comment: l.Comment, Paths: []string{}, PathSizes: map[string]int64{},
		}
		for _, p := range l.Paths {
			layer.Paths = append(layer.Paths, p.Path)
			layer.PathSizes[p.Path] = p.Size
		}
		j.Layers = append(j.Layers, layer)
	}
	return j
}

// writeImage writes an image for people: what it is, its config, and a table
// of its layers with the paths of each below it.
func writeImage(w io.Writer, image *inspect.Image) error {
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-9s %s\n", name, oneLine(value))
		}
	}
	field("image", strings.Join(image.Names, ", "))
	field("digest", image.Digest.String())
	field("id", image.ID.String())
	field("platform", platform(image))
	if !image.Created.IsZero() {
		field("created", image.Created.Format(time.RFC3339Nano))
	}
	var config bytes.Buffer
	if len(image.Config) > 0 && json.Compact(&config, image.Config) == nil {
		field("config", config.String())
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\nLAYER\tDIGEST\tSIZE\tENTRIES\tPATHS\n")
	for i, l := range image.Layers {
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%d\n", i+1, short(l.Digest.String()), size(l.Size), l.Entries, len(l.Paths))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, l := range image.Layers {
		if len(l.Paths) == 0 {
			continue
		}
		fmt.Fprintf(w, "\nlayer %d\n", i+1)
		for _, p := range l.Paths {
			if _, err := fmt.Fprintf(w, "  %9s  %s\n", size(p.Size), p.Path); err != nil {
				return err
			}
		}
	}
	return nil
}
