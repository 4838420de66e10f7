package nar

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSuits(t *testing.T) {
	dir := t.TempDir()
	if err := Suits(filepath.Join(dir, "trial")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Suits(filepath.Join(dir, "there")); err == nil {
		t.Error("a directory that exists was taken")
	}
	if _, err := os.Stat(filepath.Join(dir, "there")); err != nil {
		t.Error(err)
	}
	if err := Suits(filepath.Join(dir, "absent", "trial")); err == nil {
		t.Error("nothing was taken for a directory")
	}
}
