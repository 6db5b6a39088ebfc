# Each target is one line that works alone: nothing hides here.

.PHONY: build test quick lint fuzz demo bench cover fmt ci

build: ; go build -o bin/ ./cmd/shoal

test: ; go run ./internal/ci/summary -race -gcflags=golang.org/x/crypto/sha3=-race=false -timeout 20m ./... -- ./internal/simnet ./store -- -run '^TestC[0-9]' ./cmd/shoal

quick: ; go test -short ./...

lint: ; go test -count=1 ./internal/lint

fuzz: ; .ci/run fuzz

demo: ; go run ./cmd/shoal demo

bench: ; go test -run '^$$' -bench . ./...

cover: ; mkdir -p bin && go test -coverpkg=./... -coverprofile=bin/cover.out ./... && go tool cover -func=bin/cover.out

fmt: ; gofmt -w . && go fix -stringsbuilder=false ./...

ci: ; .ci/run
