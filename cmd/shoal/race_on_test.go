//go:build race

package main

// raceDetector is set where this test, but not the command that it runs, has the race
// detector.
const raceDetector = true
