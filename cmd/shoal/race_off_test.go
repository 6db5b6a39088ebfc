//go:build !race

package main

// raceDetector is not set.
const raceDetector = false
