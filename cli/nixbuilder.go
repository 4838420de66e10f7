package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"terrine/builder"
	"terrine/builder/commands"
	"terrine/store"
	"terrine/store/fault"
	"terrine/store/host"
)

// nixBuild is a derivation being built whose builder is terrine: what nix/ has
// written into its attributes, and what Nix has told in its environment.
type nixBuild struct {
	*app
	file  string // the attributes
	top   string // the directory of the build
	cores int
	attrs nixAttrs
}

// nixAttrs are the attributes that the modes look at.
type nixAttrs struct {
	Outputs map[string]string `json:"outputs"`

	Spec json.RawMessage `json:"spec"` // spec: what to write
	Conf string          `json:"conf"` // all others: the file that spec has written

	Reference  string `json:"reference"`  // image, stream: name:tag
	Compressor string `json:"compressor"` // image: none, gz or zstd

	Terrine     string          `json:"terrine"`     // stream: the program
	ClosureFile string          `json:"closureFile"` // stream: what closure has written
	Closure     json.RawMessage `json:"closure"`     // the references graph

	Commands []nixCommand `json:"commands"` // root
	Tools    []string     `json:"tools"`    // directories for PATH
	Shell    string       `json:"shell"`    // root, and stream, which may have none
}

type nixCommand struct {
	Name   string `json:"name"`
	Text   string `json:"text"`
	Root   bool   `json:"root"`
	Chroot bool   `json:"chroot"`
}

// nixBuilder is the word by which derivations call terrine.
const nixBuilder = "nix-builder"

// nixBuilderCommand is what the derivations of nix/ call, and no user.
func (a *app) nixBuilderCommand() *cobra.Command {
	mode := func(name, short string, run func(*nixBuild, context.Context) error) *cobra.Command {
		return &cobra.Command{Use: name, Short: short, Args: arguments(0, 0), RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.nixBuild()
			if err != nil {
				return err
			}
			return run(n, cmd.Context())
		}}
	}
	cmd := a.groupCommand(&cobra.Command{
		Use:    nixBuilder + " MODE",
		Short:  "Build a derivation of terrine's Nix functions",
		Hidden: true,
	},
		mode("spec", "Write the spec of an image", (*nixBuild).writeSpec),
		mode("tree", "Write the tree of a root layer", (*nixBuild).writeTree),
		mode("root", "Record a root layer that commands have changed", (*nixBuild).recordRoot),
		mode("image", "Write an image", (*nixBuild).writeImage),
		mode("plan", "Write the plan of an image", (*nixBuild).writePlan),
		mode("closure", "Write the closure of an image", (*nixBuild).writeClosure),
		mode("stream", "Write a script that writes an image", (*nixBuild).writeScript),
		&cobra.Command{Use: "enter", Hidden: true, Args: arguments(0, 0), RunE: func(cmd *cobra.Command, _ []string) error {
			return commands.Enter(cmd.Context(), os.NewFile(3, "request"), os.NewFile(4, "answer"))
		}},
		&cobra.Command{Use: "exec", Hidden: true, DisableFlagParsing: true, RunE: func(_ *cobra.Command, args []string) error {
			return commands.Exec(args)
		}},
	)
	return cmd
}

// nixBuild reads what Nix has told. The variable for the file of attributes is
// wrong in the sandbox of Nix 2.8: it is in the directory of the build.
func (a *app) nixBuild() (*nixBuild, error) {
	// Nix gives its builders a terminal, and shows what they say in lines.
	env := *a.Env
	env.StderrTerminal = false
	n := &nixBuild{app: &app{&env}, top: a.Getenv("NIX_BUILD_TOP"), file: a.Getenv("NIX_ATTRS_JSON_FILE")}
	if _, err := os.Stat(n.file); err != nil && n.top != "" {
		n.file = filepath.Join(n.top, ".attrs.json")
	}
	text, err := os.ReadFile(n.file)
	if n.file == "" {
		err = errors.New("neither NIX_ATTRS_JSON_FILE nor NIX_BUILD_TOP is set")
	}
	if err != nil {
		err = fmt.Errorf("read the attributes of the derivation: %w", err)
		return nil, fault.New(fault.Usage, fault.Hint(err, "this is for derivations with __structuredAttrs: see docs/nix.md"))
	}
	if err := json.Unmarshal(text, &n.attrs); err != nil {
		return nil, fault.New(fault.Refused, fmt.Errorf("read %s: %w", n.file, err))
	}
	if n.attrs.Outputs["out"] == "" {
		return nil, fault.New(fault.Refused, fmt.Errorf("read %s: there is no output", n.file))
	}
	if n.cores, err = strconv.Atoi(a.Getenv("NIX_BUILD_CORES")); err != nil || n.cores < 1 {
		n.cores = runtime.GOMAXPROCS(0) // 0 is for all there are
	}
	return n, nil
}

func (n *nixBuild) out() string { return n.attrs.Outputs["out"] }

// writeSpec writes the spec so that errors in it have a line, when it is read
// as well as now.
func (n *nixBuild) writeSpec(context.Context) error {
	var text bytes.Buffer
	if err := json.Indent(&text, n.attrs.Spec, "", "  "); err != nil {
		return fault.New(fault.Refused, fmt.Errorf("read the attribute spec: %w", err))
	}
	text.WriteByte('\n')
	spec, err := builder.ParseSpec(text.Bytes(), n.out())
	if err != nil {
		// Nix shows the last lines only, and not those of the spec.
		fmt.Fprintf(n.Stderr, "%s\n", text.Bytes())
		return err
	}
	n.warnOf(spec)
	return os.WriteFile(n.out(), text.Bytes(), 0o644)
}

// spec reads the file that writeSpec has written.
func (n *nixBuild) spec(ctx context.Context) (*builder.Spec, error) {
	text, err := n.readSpec(ctx, n.attrs.Conf)
	if err != nil {
		return nil, err
	}
	spec, err := builder.ParseSpec(text, n.attrs.Conf)
	if err != nil || n.attrs.Reference == "" {
		return spec, err
	}
	_, err = setTags(spec, []string{n.attrs.Reference})
	return spec, err
}

// options are those of a build that has nothing but its inputs.
func (n *nixBuild) options(ctx context.Context) (o builder.Options, err error) {
	o = builder.Options{Workers: n.cores, Now: n.Now}
	o.Sources.Closure, err = n.closure(ctx)
	return o, err
}

func (n *nixBuild) closure(ctx context.Context) (*store.Closure, error) {
	return host.Open(ctx, n.file+"#closure")
}

func (n *nixBuild) plan(ctx context.Context) (*builder.Plan, builder.Options, error) {
	spec, err := n.spec(ctx)
	if err != nil {
		return nil, builder.Options{}, err
	}
	o, err := n.options(ctx)
	if err != nil {
		return nil, o, err
	}
	plan, err := builder.NewPlan(ctx, spec, o)
	return plan, o, err
}

func (n *nixBuild) writeImage(ctx context.Context) error {
	defer n.boundMemory(n.cores)()
	plan, o, err := n.plan(ctx)
	if err != nil {
		return err
	}
	p := n.newProgress(false)
	defer p.Close()
	o.Progress = p
	compression := n.attrs.Compressor
	if compression == "gz" {
		compression = "gzip"
	}
	out := builder.Output{Path: n.out()}
	if out.Codec, err = builder.ParseCompression(compression); err != nil {
		return fmt.Errorf("read the attribute compressor: %w", err)
	}
	if dir := nixCache(); dir != "" {
		o.Memo = n.buildMemo(ctx, &cacheFlags{dir: dir})
	}
	result, err := plan.WriteArchive(ctx, out, o)
	p.Close()
	if err != nil {
		return err
	}
	n.warnConflicts(result.Conflicts)
	return nil
}

func (n *nixBuild) writePlan(ctx context.Context) error {
	plan, _, err := n.plan(ctx)
	if err != nil {
		return err
	}
	view, err := newPlanView(ctx, plan)
	if err != nil {
		return err
	}
	return n.writeOut(view.writeJSON)
}

// writeClosure writes the references graph for builds outside.
func (n *nixBuild) writeClosure(ctx context.Context) error {
	if _, err := n.closure(ctx); err != nil {
		return err
	}
	var graph any
	if err := json.Unmarshal(n.attrs.Closure, &graph); err != nil {
		return err
	}
	return n.writeOut(func(w io.Writer) error { return writeJSON(w, graph) })
}

func (n *nixBuild) writeOut(write func(io.Writer) error) error {
	f, err := os.OpenFile(n.out(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
