package nixdb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const pageSize = 4096

// What a cell can hold without an overflow page. No row here comes near: a
// store path has some 250 bytes.
const (
	maxTablePayload = pageSize - 35
	maxIndexPayload = (pageSize-12)*64/255 - 23
)

// The kinds of pages.
const (
	tableLeaf     = 0x0d
	tableInterior = 0x05
	indexLeaf     = 0x0a
	indexInterior = 0x02
)

// Sizes of what stands before the cells of a page.
const (
	fileHeader     = 100 // on page 1
	leafHeader     = 8
	interiorHeader = 12
	cellPointer    = 2
	childPointer   = 4
)

// file is a database in the making. Page 1, which has the list of tables, is
// made last.
type file struct {
	pages  [][]byte // from page 1
	schema []row
}

func newFile() *file { return &file{pages: make([][]byte, 1)} }

func (f *file) addTable(t *table) error {
	root, err := f.addRows(t.rows)
	if err != nil {
		return fmt.Errorf("table %s: %w", t.name, err)
	}
	f.describe("table", t.name, t.name, int64(root), t.sql)
	for _, x := range t.indexes {
		if root, err = f.addEntries(x.entries(t.rows)); err != nil {
			return fmt.Errorf("index %s: %w", x.name, err)
		}
		f.describe("index", x.name, t.name, int64(root), x.sql)
	}
	return nil
}

func (f *file) addTrigger(name, table, sql string) { f.describe("trigger", name, table, 0, sql) }

// describe adds a row to the list of tables.
func (f *file) describe(kind, name, table string, root int64, sql string) {
	var text any
	if sql != "" {
		text = sql
	}
	f.schema = append(f.schema, row{id: int64(len(f.schema)) + 1, values: []any{kind, name, table, root, text}})
}

// bytes returns the file.
func (f *file) bytes() ([]byte, error) {
	cells, _, err := tableCells(f.schema)
	if err != nil {
		return nil, err
	}
	first := newPage(tableLeaf, fileHeader)
	for _, c := range cells {
		if !first.add(c) {
			return nil, errors.New("the list of tables takes more than a page")
		}
	}
	f.pages[0] = first.bytes(0)
	f.writeHeader(f.pages[0])
	out := make([]byte, 0, len(f.pages)*pageSize)
	for _, p := range f.pages {
		out = append(out, p...)
	}
	return out, nil
}

// writeHeader writes what stands before the first page.
func (f *file) writeHeader(page []byte) {
	const changes = 1         // how often the file was changed
	const version = 3_040_001 // of the SQLite whose format this is
	h := append(page[:0], "SQLite format 3\x00"...)
	h = appendUint16(h, pageSize)
	h = append(h, 1, 1, 0, 64, 32, 32) // versions to write and read, bytes kept free, and three constants
	h = appendUint32(h, changes)
	h = appendUint32(h, len(f.pages))
	h = appendUint32(h, 0) // the first free page
	h = appendUint32(h, 0) // number of free pages
	h = appendUint32(h, 1) // cookie of the schema
	h = appendUint32(h, 4) // format of the schema
	h = append(h, make([]byte, 8)...)
	h = appendUint32(h, 1) // UTF-8
	h = append(h, make([]byte, 32)...)
	h = appendUint32(h, changes) // for which the next field is valid
	appendUint32(h, version)
}

// addRows writes the tree of a table and returns its root.
func (f *file) addRows(rows []row) (int, error) {
	cells, keys, err := tableCells(rows)
	if err != nil {
		return 0, err
	}
	if len(cells) == 0 {
		return f.addPage(newPage(tableLeaf, 0), 0), nil
	}
	var level []child
	p := newPage(tableLeaf, 0)
	for i, c := range cells {
		if !p.add(c) {
			level = append(level, child{f.addPage(p, 0), keys[i-1]})
			p = newPage(tableLeaf, 0)
			p.add(c)
		}
	}
	level = append(level, child{f.addPage(p, 0), keys[len(keys)-1]})
	return f.join(tableInterior, level), nil
}

// tableCells returns the cells of the leaves of a table, and the key of each.
func tableCells(rows []row) (cells, keys [][]byte, err error) {
	for _, r := range rows {
		record, err := appendRecord(nil, r.values)
		if err != nil {
			return nil, nil, err
		}
		if len(record) > maxTablePayload {
			return nil, nil, fmt.Errorf("a row of %d bytes: at most %d are possible", len(record), maxTablePayload)
		}
		key := appendVarint(nil, uint64(r.id))
		cell := append(appendVarint(nil, uint64(len(record))), key...)
		cells, keys = append(cells, append(cell, record...)), append(keys, key)
	}
	return cells, keys, nil
}

// addEntries writes the tree of an index and returns its root. In it each entry
// stands once: what separates two leaves is in none of them.
func (f *file) addEntries(entries [][]any) (int, error) {
	var cells [][]byte
	for _, e := range entries {
		record, err := appendRecord(nil, e)
		if err != nil {
			return 0, err
		}
		if len(record) > maxIndexPayload {
			return 0, fmt.Errorf("an entry of %d bytes: at most %d are possible", len(record), maxIndexPayload)
		}
		cells = append(cells, append(appendVarint(nil, uint64(len(record))), record...))
	}
	var level []child
	for {
		p := newPage(indexLeaf, 0)
		n := 0
		for n < len(cells) && p.add(cells[n]) {
			n++
		}
		switch n {
		case len(cells):
			level = append(level, child{page: f.addPage(p, 0)})
			return f.join(indexInterior, level), nil
		case len(cells) - 1:
			n-- // or the last leaf would be empty
			p.removeLast()
		}
		level = append(level, child{f.addPage(p, 0), cells[n]})
		cells = cells[n+1:]
	}
}

// child is a page, and what separates it from the next.
type child struct {
	page    int
	divider []byte
}

// join writes the pages above a level, up to the root, which it returns.
func (f *file) join(kind byte, level []child) int {
	for len(level) > 1 {
		var above []child
		for len(level) > 0 {
			p := newPage(kind, 0)
			n := 0 // of the dividers; one more child is behind them
			for n < len(level)-1 && p.add(append(appendUint32(nil, level[n].page), level[n].divider...)) {
				n++
			}
			if n == len(level)-2 {
				n-- // a page has a divider: leave two children for the last
				p.removeLast()
			}
			above = append(above, child{f.addPage(p, level[n].page), level[n].divider})
			level = level[n+1:]
		}
		level = above
	}
	return level[0].page
}

func (f *file) addPage(p *page, last int) int {
	f.pages = append(f.pages, p.bytes(last))
	return len(f.pages)
}

// page is a page of a tree.
type page struct {
	kind   byte
	prefix int // bytes before the page's own header
	cells  [][]byte
	used   int // bytes of cells and their pointers
}

func newPage(kind byte, prefix int) *page { return &page{kind: kind, prefix: prefix} }

func (p *page) header() int {
	if p.kind == tableInterior || p.kind == indexInterior {
		return interiorHeader
	}
	return leafHeader
}

// add adds a cell, if there is room.
func (p *page) add(cell []byte) bool {
	used := p.used + len(cell) + cellPointer
	if p.prefix+p.header()+used > pageSize {
		return false
	}
	p.cells, p.used = append(p.cells, cell), used
	return true
}

func (p *page) removeLast() {
	n := len(p.cells) - 1
	p.used -= len(p.cells[n]) + cellPointer
	p.cells = p.cells[:n]
}

// bytes returns the page. last is its last child, unless it is a leaf.
func (p *page) bytes(last int) []byte {
	out := make([]byte, pageSize)
	at := pageSize
	pointers := out[p.prefix+p.header() : p.prefix+p.header()]
	for _, c := range p.cells {
		at -= len(c)
		copy(out[at:], c)
		pointers = appendUint16(pointers, at)
	}
	h := out[p.prefix:]
	h[0] = p.kind
	binary.BigEndian.PutUint16(h[3:], uint16(len(p.cells)))
	binary.BigEndian.PutUint16(h[5:], uint16(at))
	if p.header() == interiorHeader {
		binary.BigEndian.PutUint32(h[leafHeader:], uint32(last))
	}
	return out
}
