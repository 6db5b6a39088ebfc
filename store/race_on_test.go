//go:build race

package store

// sparse is the stride with which the exhaustive tests go through their points.
// The race detector, with which Pebble also checks itself, makes them ten to twenty
// times slower and learns little from visiting them all; runs without it do. It is
// a prime, so that what these tests do at every second or third point is seen too.
const sparse = 37
