// Package crash holds the tests of what terrine's store survives: being killed
// at any system call, the power being cut, disks that are full, broken or
// read-only, damaged files, stopped and interfering processes, and inputs that
// no store can hold or that change while they are read.
//
// Kills are made by strace, at the n-th call of one kind; power cuts by a file
// system of its own on a loop device, which is told to forget what is not on
// disk. After each, what was acknowledged must be there, what is valid must be
// whole, and the same command must succeed, with no repair by hand.
//
// The tests want root, strace, ext4 and xfs. TestCampaign does the same many
// times and writes a report; see the Makefile.
package crash
