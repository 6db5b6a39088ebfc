package web

// MaxViewers is for tests.
const MaxViewers = maxViewers
