package builder

// Progress is told how a build goes on. A build passes through stages, one
// after the other: Stage begins one and ends the one before it, and Done ends
// the last. Only Add may be called from several goroutines at once, and only
// while a stage is open. No method may block for long: Add is called for each
// buffer of data.
type Progress interface {
	// Stage begins a stage, named by a verb that can head a line ("pack",
	// "compress"), of total bytes. A total of 0 means that it is not known.
	Stage(name string, total int64)
	// Add says that n more bytes of the stage are done.
	Add(n int64)
	// Done ends the last stage. It is called once, also after a failure.
	Done()
}

// silent is the Progress of a build whose caller wants none.
type silent struct{}

func (silent) Stage(string, int64) {}
func (silent) Add(int64)           {}
func (silent) Done()               {}

// progressOr returns p, or a Progress that does nothing for nil.
func progressOr(p Progress) Progress {
	if p == nil {
		return silent{}
	}
	return p
}
