package nar

import (
	"os"
	"path/filepath"
	"strings"
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
	absent := filepath.Join(dir, "absent")
	if err := Suits(filepath.Join(absent, "trial")); err == nil || !strings.Contains(err.Error(), absent) {
		t.Errorf("without a directory: %v; want an error that names it", err)
	}
}
