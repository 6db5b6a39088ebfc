//go:build !race

package simnet

// raced is not set: all seeds are run.
const raced = false
