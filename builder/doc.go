// Package builder makes images: it reads what is asked for, finds the closure of it,
// divides that into layers, and has them packed into an archive.
//
// # The way of an image
//
//	image.json ─ParseSpec─▶ Spec ─NewPlan─▶ Plan ─┬─WriteArchive─▶ Result
//	                                              ├─Probe────────▶ Result, or what is not known
//	                                              └─Forecast─────▶ what layers cost hosts
//
// A [Spec] is checked when it is read and when a flag changes it, so code that takes one
// does not check it again. [NewPlan] looks for store objects in [Sources], adds to the own
// store what the spec has beside it, has package layering divide the closure, and makes the
// key of each layer: a [Plan] says which bytes there will be, before those of store objects
// are read. [Plan.WriteArchive] and [Plan.Probe] then run the same code, and differ in what
// they do about a layer that is not known.
//
// [PlanGraph] and [NewGraphPlan] plan references graphs without a spec, [JoinPlans] makes
// images share layers, and [Learn] finds out from earlier images how often packages change.
//
// # What the bytes depend on
//
// On the spec and the files that it names; on the store objects, by their paths and NAR
// hashes; and on what [Options] say of earlier images and of SOURCE_DATE_EPOCH. The machine
// has a part where a spec leaves it one: the architecture, if it gives none, and the time,
// if it asks for "now" by a clock that is passed in. A [Memo] saves work and changes no byte,
// whatever state it is in; a build whose memo turns out to be wrong begins again without it.
//
// # Where things are
//
// spec*.go read image.json; closure.go, plan*.go and division.go plan; root*.go say what
// the root layer is made of, and what its key is of; build.go and stream.go write;
// remember*.go are the Memo.
//
// What is wrong with the input is of class fault.Refused. Nothing here is for several
// goroutines at once unless it says so.
package builder
