# check    what must pass before a change goes in
# test     all tests that need nothing but Go      race   the same with the race detector
# fuzz     each fuzz target for FUZZTIME           bench  what a line costs, on one core
# bench-compare REF=main                           what changed since then, with benchstat
# demo     everything on one machine               build  bin/millrace      image  a container image
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
IMAGE ?= millrace:$(VERSION)
FUZZTIME ?= 30s
BENCHTIME ?= 2s
COUNT ?= 6
BENCH ?= ^Benchmark(Agent|Produce|Collector)
BENCHPKGS = ./agent ./collector ./outputs/kafka ./outputs/starrocks
LDFLAGS = -s -w -X millrace/internal/ops.version=$(VERSION) -X millrace/internal/ops.commit=$(COMMIT)
BENCHSTAT = golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

.PHONY: check test race fuzz bench bench-compare demo build image

check:
	@test -z "$$(gofmt -l .)" || { echo "gofmt -w these:"; gofmt -l .; exit 1; }
	go mod tidy -diff
	go vet ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run ./...; \
	else echo "golangci-lint is not installed: the rules of .golangci.yml were not checked"; fi
	go test ./...

test:
	go test ./...

race:
	go test -race ./...

fuzz:
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ {f[n++] = $$1} /^ok/ {for (i = 0; i < n; i++) print $$2, f[i]; n = 0}' | \
	while read -r pkg target; do \
		echo "== $$pkg $$target"; \
		go test "$$pkg" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) || exit 1; \
	done

bench:
	@go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -cpu 1 $(BENCHPKGS) | awk -f bench/table.awk

bench-compare:
	@test -n "$(REF)" || { echo "make bench-compare REF=main"; exit 2; }
	@old=$$(mktemp -d) && trap 'git worktree remove --force "$$old/src"; rm -r "$$old"' EXIT && \
	git worktree add --quiet --detach "$$old/src" "$(REF)" && \
	run="go test -run ^$$ -bench $(BENCH) -benchmem -cpu 1 -count $(COUNT) -benchtime $(BENCHTIME) $(BENCHPKGS)" && \
	(cd "$$old/src" && $$run) >"$$old/old.txt"; $$run >"$$old/new.txt"; \
	go run $(BENCHSTAT) "$$old/old.txt" "$$old/new.txt"

demo:
	go run ./demo

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/millrace .

image:
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE) .
