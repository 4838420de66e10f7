package builder

import (
	"encoding/json"
	"fmt"
	"time"

	"terrine/builder/image"
	"terrine/builder/rootfs"
	"terrine/layering"
	"terrine/store"
)

// Defaults of a spec, those of dockerTools.
const (
	defaultMaxLayers = 100
	defaultOwnerName = "root"
	defaultTimestamp = 1 // seconds after the epoch
)

// Values of Spec.Conflicts.
const (
	ConflictsWarn  = "warn"
	ConflictsError = "error"
)

// Values of Spec.Join.
const (
	JoinContents    = "contents"
	JoinDirectories = "directories"
	JoinClosure     = "closure"
)

// Spec is what a user asks for: the content of image.json with its defaults
// filled in. ParseSpec makes one and Set changes one; both check every value,
// so that code that takes a Spec need not. docs/spec.schema.json says the same
// as a JSON Schema.
type Spec struct {
	// Name is the repository, in lower case, with a registry in front or not.
	Name string
	// Tag is empty when the image's own hash is to be its tag.
	Tag string

	// Contents are joined into the root layer, the first first.
	Contents []Content
	// Config is the OCI or docker config object, byte for byte; "{}" if the
	// spec has none. Labels is not merged into it yet.
	Config json.RawMessage
	// Warnings say which fields of Config no engine knows, the first of them at
	// least: they are kept, and may be misspelt.
	Warnings []string
	// Labels are added to those of Config and win over them.
	Labels map[string]string
	// Annotations are those of the image's manifest.
	Annotations map[string]string

	// Platform is what the image is for. An empty Architecture means that of
	// the machine. OS is never empty.
	Platform image.Platform

	// Created is the date of the image. Options.SourceDateEpoch stands in for one
	// that is not set.
	Created When
	// MTime is the modification time of every file, in the layers.
	MTime When

	// The owner of the files of store layers.
	UID, GID     int
	Uname, Gname string

	// MaxLayers is the number of layers in all, the root layer included:
	// 2 to 125.
	MaxLayers int
	// IncludeStorePaths is false for an image that finds its store mounted.
	IncludeStorePaths bool
	// IncludeNixDB asks for Nix's database of the store in the image.
	IncludeNixDB bool
	Layering     Layering

	// RootTree is a store object that rootfs.Record has made: the root layer
	// begins with its tree. Empty for none.
	RootTree store.Path
	// Files stand in the root layer as they are, sorted by path.
	Files []rootfs.FileSpec
	// Perms change modes and owners in the root layer. They are in the order
	// in which they apply: a more specific glob after a less specific one.
	Perms []rootfs.Perm

	// FakeNss asks for users root and nobody; nil for none.
	FakeNss *rootfs.FakeNss
	// Tmp asks for /tmp and /var/tmp that everybody can write to.
	Tmp bool
	// CACertificates, BinSh and UsrBinEnv are what those presets link to; nil
	// for none.
	CACertificates, BinSh, UsrBinEnv *Content

	// Conflicts is ConflictsWarn or ConflictsError.
	Conflicts string
	// Join is what is joined into the root layer: JoinContents, JoinDirectories
	// for the same with directories for all links to directories, or JoinClosure
	// for everything that contents refer to as well, and with /usr merged as in
	// Debian.
	Join string
}

// Content is something to put into an image: a store path, or a file or
// directory on disk that is to be added to the store.
type Content struct {
	// StorePath is set, or else Path and Name are.
	StorePath store.Path
	// Path is on disk, relative to the directory of the process if not
	// absolute. Name is what the store path will be called.
	Path, Name string
}

// Layering says how the closure is divided.
type Layering struct {
	// Strategy is the name of a strategy; empty for the default.
	Strategy string
	// Groups are layers of what matches one of some globs each, before Pins.
	Groups [][]string
	// Pins put what matches a glob into a layer of its own.
	Pins []layering.Pin
	// Pipeline divides in the stead of a strategy: JSON that
	// layering.ParsePipeline takes; nil for none. PipelineFile is a file of such
	// JSON, relative to the directory of the process if not absolute. At most one
	// of them is set.
	Pipeline     json.RawMessage
	PipelineFile string
	// MinSize is the size in bytes below which a layer is joined to another.
	MinSize int64
	// ChainWeight is that of layering.Options, for update-cost; 0 for the default.
	ChainWeight float64
	// Rates is a file of `terrine learn`, relative to the directory of the
	// process if not absolute; empty for none. Only what is in it matters.
	Rates string
}

// When is an instant that is not given, given, or to be that of the build.
type When struct {
	// Set is false for an instant that is not given.
	Set bool
	// Now asks for the time of the build. Time is zero then.
	Now  bool
	Time time.Time // UTC
}

// resolve returns the instant, with whole seconds of now for Now and the
// default, one second after the epoch, for one that is not set.
func (w When) resolve(now func() time.Time) time.Time {
	switch {
	case !w.Set:
		return time.Unix(defaultTimestamp, 0).UTC()
	case w.Now:
		return now().UTC().Truncate(time.Second)
	}
	return w.Time
}

// createdAt returns the date of the image: Created if the spec (or a flag, by
// Set) gives one, else SOURCE_DATE_EPOCH, whose value the caller passes (empty
// if it is not set), else one second after the epoch. No layer depends on it.
func (s *Spec) createdAt(sourceDateEpoch string, now func() time.Time) (time.Time, error) {
	if s.Created.Set || sourceDateEpoch == "" {
		return s.Created.resolve(now), nil
	}
	t, err := parseEpoch(sourceDateEpoch)
	if err != nil {
		return time.Time{}, refused(fmt.Errorf("read SOURCE_DATE_EPOCH %q: %w", sourceDateEpoch, err))
	}
	return t, nil
}

// reference returns the name and tag of the image. The tag that stands in for
// one that the spec does not give is passed.
func (s *Spec) reference(otherwise string) image.Reference {
	tag := s.Tag
	if tag == "" {
		tag = otherwise
	}
	return image.Reference{Name: s.Name, Tag: tag}
}

// defaults returns the spec that an image.json with a name alone asks for.
func defaults() *Spec {
	return &Spec{
		Config:            json.RawMessage("{}"),
		Platform:          image.Platform{OS: "linux"},
		Uname:             defaultOwnerName,
		Gname:             defaultOwnerName,
		MaxLayers:         defaultMaxLayers,
		IncludeStorePaths: true,
		Conflicts:         ConflictsWarn,
		Join:              JoinContents,
	}
}
