// Package nixdb makes the database in which Nix keeps what it knows of a store,
// /nix/var/nix/db/db.sqlite, for the closure of an image: a Nix inside the image
// then takes the store paths that are there for valid.
//
// The database is a file in the format of SQLite 3 (https://sqlite.org/fileformat2.html),
// written from the first page to the last. So its bytes are a function of the
// closure, which those of a database that SQLite itself has filled are not.
package nixdb

import (
	"cmp"
	"fmt"
	"slices"

	"terrine/store"
	"terrine/store/fault"
)

// Schema is the version of the tables, as Nix wants it in the file "schema"
// beside the database. Nix has had it since 2014.
const Schema = "10"

// registrationTime is when every path was registered, in seconds since 1970: a
// time that the store has for its files, and no real one.
const registrationTime = 1

// maxContentAddress is more bytes than any content address of Nix has, and lets the row
// of a path fit into a page of the database.
const maxContentAddress = 1024

// Build returns the database of a closure. Every reference of a path must be
// among infos. Derivers are left out, since derivations are not in the image,
// and so are signatures, which do not make an image better: who made it can
// change both.
func Build(infos []*store.Info) ([]byte, error) {
	sorted := slices.SortedFunc(slices.Values(infos), func(a, b *store.Info) int { return cmp.Compare(a.Path, b.Path) })
	ids := make(map[store.Path]int64, len(sorted))
	for i, info := range sorted {
		if _, twice := ids[info.Path]; twice {
			return nil, refuse(fmt.Errorf("%s is given twice", info.Path))
		}
		if len(info.CA) > maxContentAddress {
			return nil, refuse(fmt.Errorf("%s has a content address of %d bytes: at most %d are possible", info.Path, len(info.CA), maxContentAddress))
		}
		ids[info.Path] = int64(i) + 1
	}
	refs, err := references(sorted, ids)
	if err != nil {
		return nil, err
	}
	db := newFile()
	for _, t := range []*table{validPaths(sorted), sequence(len(sorted)), refs, derivationOutputs()} {
		if err := db.addTable(t); err != nil {
			return nil, fmt.Errorf("make nix database: %w", err)
		}
	}
	db.addTrigger("DeleteSelfRefs", "ValidPaths", `CREATE TRIGGER DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end`)
	data, err := db.bytes()
	if err != nil {
		return nil, fmt.Errorf("make nix database: %w", err)
	}
	return data, nil
}

func refuse(err error) error {
	return fault.New(fault.Refused, fmt.Errorf("make nix database: %w", err))
}

func validPaths(infos []*store.Info) *table {
	t := &table{
		name: "ValidPaths",
		sql: `CREATE TABLE ValidPaths (
    id integer primary key autoincrement not null,
    path text unique not null,
    hash text not null,
    registrationTime integer not null,
    deriver text,
    narSize integer,
    ultimate integer,
    sigs text,
    ca text
)`,
		indexes: []index{{name: "sqlite_autoindex_ValidPaths_1", columns: []int{1}}},
	}
	for i, info := range infos {
		var size, ca any
		if info.NARSize > 0 {
			size = info.NARSize
		}
		if info.CA != "" {
			ca = info.CA
		}
		hash := info.NARHash.Algorithm().String() + ":" + info.NARHash.Encoded()
		// A rowid stands for the column that is the integer primary key.
		t.rows = append(t.rows, row{id: int64(i) + 1, values: []any{nil, string(info.Path), hash, int64(registrationTime), nil, size, nil, nil, ca}})
	}
	return t
}

// sequence is the table of the numbers that autoincrement has come to.
func sequence(last int) *table {
	t := &table{name: "sqlite_sequence", sql: "CREATE TABLE sqlite_sequence(name,seq)"}
	if last > 0 {
		t.rows = []row{{id: 1, values: []any{"ValidPaths", int64(last)}}}
	}
	return t
}

func references(infos []*store.Info, ids map[store.Path]int64) (*table, error) {
	t := &table{
		name: "Refs",
		sql: `CREATE TABLE Refs (
    referrer integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
)`,
		indexes: []index{
			{name: "sqlite_autoindex_Refs_1", columns: []int{0, 1}},
			{name: "IndexReferrer", columns: []int{0}, sql: "CREATE INDEX IndexReferrer on Refs(referrer)"},
			{name: "IndexReference", columns: []int{1}, sql: "CREATE INDEX IndexReference on Refs(reference)"},
		},
	}
	for _, info := range infos {
		to := make([]int64, len(info.References))
		for i, ref := range info.References {
			id, ok := ids[ref]
			if !ok {
				return nil, refuse(fmt.Errorf("%s refers to %s, which is not in the closure", info.Path, ref))
			}
			to[i] = id
		}
		slices.Sort(to)
		for _, id := range slices.Compact(to) {
			t.rows = append(t.rows, row{id: int64(len(t.rows)) + 1, values: []any{ids[info.Path], id}})
		}
	}
	return t, nil
}

// derivationOutputs stays empty: there is no derivation in the closure of an
// image, and if there is, Nix does without the row.
func derivationOutputs() *table {
	return &table{
		name: "DerivationOutputs",
		sql: `CREATE TABLE DerivationOutputs (
    drv integer not null,
    id text not null,
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
)`,
		indexes: []index{
			{name: "sqlite_autoindex_DerivationOutputs_1", columns: []int{0, 1}},
			{name: "IndexDerivationOutputs", columns: []int{2}, sql: "CREATE INDEX IndexDerivationOutputs on DerivationOutputs(path)"},
		},
	}
}
