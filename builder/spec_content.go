package builder

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"terrine/store"
)

func (p *specParser) contents(v *jsonValue, path string) error {
	if err := p.want(v, path, kindArray); err != nil {
		return err
	}
	for i, item := range v.items {
		c, err := p.content(item, indexPath(path, i))
		if err != nil {
			return err
		}
		p.spec.Contents = append(p.spec.Contents, c)
	}
	return nil
}

func (p *specParser) contentField(to **Content) field {
	return func(v *jsonValue, path string) error {
		c, err := p.content(v, path)
		*to = &c
		return err
	}
}

// rootTree takes a store path.
func (p *specParser) rootTree(v *jsonValue, path string) error {
	_, err := p.text(v, path, func(s string) (err error) {
		p.spec.RootTree, err = store.ParsePath(s)
		return err
	})
	return err
}

// content takes a store path, or an object with a path on disk.
func (p *specParser) content(v *jsonValue, path string) (Content, error) {
	if err := p.want(v, path, kindString, kindObject); err != nil {
		return Content{}, err
	}
	if v.kind == kindString {
		sp, err := store.ParsePath(v.text)
		if err != nil {
			return Content{}, p.errorAt(v.off, path, contentHint(v.text, err))
		}
		return Content{StorePath: sp}, nil
	}
	var c Content
	err := p.fields(v, path, map[string]field{
		"path": p.textInto(&c.Path, checkDiskPath),
		"name": p.textInto(&c.Name, store.CheckName),
	})
	switch {
	case err != nil:
		return Content{}, err
	case c.Path == "":
		return Content{}, p.errorAt(v.off, path, errors.New(`field "path" is missing`))
	case c.Name == "":
		c.Name = filepath.Base(c.Path)
		if err := store.CheckName(c.Name); err != nil {
			return Content{}, p.errorAt(v.off, path, fmt.Errorf(`give it a "name" for the store: %w`, err))
		}
	}
	c.Path = p.onDisk(c.Path)
	return c, nil
}

// contentHint adds to the error of a string that is no store path what the
// user may have meant.
func contentHint(s string, err error) error {
	for i := len(s); i > 0; i = strings.LastIndexByte(s[:i], '/') {
		if whole, err := store.ParsePath(s[:i]); err == nil {
			if strings.Trim(s[i:], "/") == "" {
				return fmt.Errorf("want a store path, which ends in no slash: %s", whole)
			}
			return fmt.Errorf(`want a whole store path, and %q is below %s: "files" takes files and directories of one`, s[i:], whole)
		}
	}
	if s != "" && !strings.HasPrefix(s+"/", string(store.DefaultDir)+"/") {
		return fmt.Errorf(`%w; a directory on disk is written {"path": %q}`, err, s)
	}
	return err
}

// onDisk returns a path of the spec as the process has to open it.
func (p *specParser) onDisk(s string) string {
	if filepath.IsAbs(s) {
		return filepath.Clean(s)
	}
	return filepath.Join(p.dir, s)
}

// diskPath is the field that stores a path on disk, as onDisk returns it.
func (p *specParser) diskPath(to *string) field {
	return func(v *jsonValue, path string) error {
		s, err := p.text(v, path, checkDiskPath)
		*to = p.onDisk(s)
		return err
	}
}

func checkDiskPath(s string) error {
	switch {
	case s == "":
		return errors.New("the path is empty")
	case strings.ContainsRune(s, 0):
		return errors.New("a path cannot hold NUL")
	}
	return nil
}
