//go:build race

package simnet

// raced is set under the race detector, where a run takes ten times as long. The runs
// have no goroutines of their own, so one seed of each shows all that it can find.
const raced = true
