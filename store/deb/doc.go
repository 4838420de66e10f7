// Package deb makes store paths of Debian packages.
//
// A package is taken as it is: its store path holds what its data archive
// holds, and is named after its name and version. Its maintainer scripts are
// not run. What it depends on (Depends and Pre-Depends), as far as that is
// among the packages given, are the references of its store path; packages
// that depend on one another, as libc6 and libgcc-s1 do, become one.
//
// A store path says by its hash what it refers to, so a package with the same
// contents and other dependencies is another path.
//
// See deb(5), deb-control(5) and https://www.debian.org/doc/debian-policy/.
package deb
