# check    what must pass before a change goes in
# test     all tests that need nothing but Go      race   the same with the race detector
# fuzz     each fuzz target for FUZZTIME           bench  what a line costs, on one core
# bench-compare REF=main                           what changed since then, with benchstat
# bench-agent                                      memory and CPU of an agent on a node (see bench/agentload/main.go)
# bench-neighbours bench-positions                 what transactions cost readers and Kafka (see bench/transactions/main.go)
# bench-collector                                  CPU and memory of a row to StarRocks, time to visible (see bench/collectorload/main.go)
# bench-peers                                      lines per CPU-second to Kafka beside other shippers (see bench/peers/main.go)
# bench-decoders                                   what we compress, read by Kafka's Java client and librdkafka (see bench/decoders/main.go)
# chaos    kills of agent, collectors, brokers and StarRocks, PARTS times CHAOS, with the Kafka that the environment names (see chaos/main.go)
# e2e-k8s  the manifests on a real node: the cluster that KUBECONFIG names (see e2e/k8s/k8s_test.go), else one of its own
# demo     everything on one machine               build  bin/millrace      image  a container image
# superset-bundle DATASET=message|typed|aggregate DATABASE=starrocks://..  the dashboard for Superset's import (docs/superset.md)
# bench-dashboard                                  how much faster its charts are over typed columns, in the stand-in
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null)
IMAGE ?= millrace:$(VERSION)
FUZZTIME ?= 30s
BENCHTIME ?= 2s
COUNT ?= 6
BENCH ?= ^Benchmark(Agent|Produce|Collector)
BENCHPKGS = ./agent ./collector ./outputs/kafka ./outputs/starrocks
AGENTLOAD ?= -for 1m
COLLECTORLOAD ?= compare
PEERS ?=
NEIGHBOURS ?=
DECODERS ?= -lines 10000000
POSITIONS ?=
CHAOS ?= -agent-kills 40 -broker-kills 10 -collector-kills 40 -starrocks-kills 10 -lines 1000000
CHAOS_SEED ?= 1
CHAOS_LOG ?= bin/chaos.log
PARTS ?= 10
LDFLAGS = -s -w -X millrace/internal/ops.version=$(VERSION) -X millrace/internal/ops.commit=$(COMMIT)
DATASET ?= message
DATABASE ?= starrocks://root@127.0.0.1:9030/default_catalog.quickstart
BENCHSTAT = golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

.PHONY: check test race fuzz bench bench-compare bench-agent bench-collector bench-peers bench-neighbours bench-positions bench-decoders superset-bundle bench-dashboard chaos e2e-k8s demo build image

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
		go test "$$pkg" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x || exit 1; \
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

bench-agent: build
	go run ./bench/agentload -millrace bin/millrace $(AGENTLOAD)

bench-collector: build
	go build -o bin/starrocks ./demo/starrocks
	go run ./bench/collectorload -millrace bin/millrace -standin bin/starrocks $(COLLECTORLOAD)

bench-peers: build
	go run ./bench/peers -millrace bin/millrace $(PEERS)

bench-neighbours: build
	go run ./bench/transactions -millrace bin/millrace $(NEIGHBOURS) neighbours

bench-positions: build
	go run ./bench/transactions -millrace bin/millrace $(POSITIONS) positions

bench-decoders:
	go run ./bench/decoders $(DECODERS)

superset-bundle:
	@go run ./manifests/superset -dataset '$(DATASET)' -database '$(DATABASE)' -o bin/kong_access_logs.zip

bench-dashboard:
	go test -run '^$$' -bench Dashboard -benchtime 1x -timeout 30m ./e2e/superset

chaos:
	@test -n "$$KAFKA_CONTROL" || { echo "make chaos needs a real Kafka: KAFKA_CONTROL and the rest of chaos/main.go; without it, go run ./chaos uses kfake"; exit 2; }
	@go build -o bin/ . ./chaos ./demo/starrocks
	@run="bin/chaos -millrace bin/millrace -starrocks bin/starrocks"; \
	for fault in lost repeated reordered miscounted row-lost row-repeated row-reordered row-foreign row-miscounted; do $$run -break $$fault || exit 1; done; \
	for part in $$(seq $(PARTS)); do $$run -seed $(CHAOS_SEED) -part $$part -log $(CHAOS_LOG) $(CHAOS) || exit 1; done; \
	$$run -sum $(CHAOS_LOG)

e2e-k8s:
	@if test -n "$$KUBECONFIG"; then go test -count=1 -v ./e2e/k8s; else .ci/run k8s; fi

demo:
	go run ./demo

build:
	CGO_ENABLED=0 go build -trimpath -tags urfave_cli_no_template -ldflags '$(LDFLAGS)' -o bin/millrace .

image:
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE) .
