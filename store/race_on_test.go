//go:build race

package store

// sparse is the stride with which the exhaustive tests go through their points.
// The race detector makes them ten times slower and learns little from
// visiting them all; runs without it do.
const sparse = 16
