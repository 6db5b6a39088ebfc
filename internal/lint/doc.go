// Package lint holds the rules of this repository that the compiler does not
// know, as tests: who may import whom, what the pool must never do, how packages
// are documented, and that gofmt, vet, staticcheck and go fix have nothing to
// say. They are tests so that a developer and the continuous build cannot
// disagree.
//
//	go test ./internal/lint          all of it
//	go test -short ./internal/lint   without the tools that take their time
//
// What this package does not do: it changes no file, and it has no opinion on
// style beyond the rules in CONTRIBUTING.md. It has no code outside its tests.
package lint
