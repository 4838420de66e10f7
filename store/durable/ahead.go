package durable

// aheadSize is how much is written at least before the disk is asked to begin
// with it: less would cost more calls than it saves waiting.
const aheadSize = 256 << 10

// WriteAt writes p at off as an os.File does, and has the disk begin with what
// is large. It may be called from several goroutines at once, for ranges that do
// not overlap.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if from, n := f.gather(off, int64(n)); n > 0 {
		f.writeAhead(from, int(n))
	}
	return n, err
}

// gather returns a range to ask the disk for, or nothing. Small pieces are put
// together as long as they lie close to each other.
func (f *File) gather(off, n int64) (from, size int64) {
	if n >= aheadSize {
		return off, n
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &f.pending
	if near := int64(4 * aheadSize); p.from == p.to || off+n < p.from-near || off > p.to+near {
		p.from, p.to = off, off+n
		return 0, 0
	}
	p.from, p.to = min(p.from, off), max(p.to, off+n)
	if p.to-p.from < 4*aheadSize {
		return 0, 0
	}
	from, size = p.from, p.to-p.from
	p.from = p.to
	return from, size
}

// Write writes p behind what Write has written before, and has the disk begin
// with it when there is enough. It is for one goroutine.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.written += int64(n)
	if f.written-f.asked >= 4*aheadSize {
		f.ask()
	}
	return n, err
}

// ask asks the disk for what was written since it was last asked, unless it is
// being asked. To ask takes a third of the time that writing takes, so another
// goroutine does it, which settle waits for.
func (f *File) ask() {
	if f.asking != nil {
		select {
		case <-f.asking:
		default:
			return
		}
	}
	off, n, done := f.asked, int(f.written-f.asked), make(chan struct{})
	f.asked, f.asking = f.written, done
	go func() {
		defer close(done)
		f.writeAhead(off, n)
	}()
}

// settle waits until nobody but the caller uses the file.
func (f *File) settle() {
	if f.asking != nil {
		<-f.asking
	}
}
