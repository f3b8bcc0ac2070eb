# freshrelay: everything a developer runs. `make help` lists it. Needs Go and make; the rest comes through the Go proxy.

.DEFAULT_GOAL := help
SHELL := /bin/sh

BIN     := bin
BINARY  := $(BIN)/freshrelay
TOUR    := $(BIN)/tour
LINTER  := $(BIN)/golangci-lint
TOOL    := go tool -modfile=tools/go.mod
SOURCES := $(shell find . -name '*.go' -not -path './$(BIN)/*') go.mod go.sum

# The binary is static: it runs from an empty container and on a machine with another libc.
GOBUILD := CGO_ENABLED=0 go build -trimpath

# The race detector is the one thing here that needs a C compiler.
CC_FOUND := $(shell command -v "$$(go env CC)" 2>/dev/null)

# Quick packages whose concurrency or parsing the race detector should see on every check.
RACE_QUICK := ./segment/... ./mapping/... ./metrics/... ./freshmarketer/... ./ingest/... ./admin/...

FUZZTIME ?= 30s
BENCH    ?= .
COUNT    ?= 1

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##

.PHONY: run
run: build ## start it with a sandbox Freshmarketer, send the examples, serve until Ctrl-C
	@./$(TOUR)

.PHONY: demo
demo: build ## the same on free ports in a temporary directory, checked against the expected contacts
	@./$(TOUR) -check

.PHONY: build
build: $(BINARY) $(TOUR) ## build bin/freshrelay

$(BINARY): $(SOURCES)
	@mkdir -p $(BIN)
	$(GOBUILD) -o $@ ./cmd/freshrelay

$(TOUR): $(SOURCES)
	@mkdir -p $(BIN)
	$(GOBUILD) -o $@ ./examples/tour

.PHONY: test
test: ## run all tests
	go test -timeout 30m ./...
	go test -C deploy ./...

.PHONY: prometheus
prometheus: ## fetch Debian's Prometheus and promtool into bin/, for the tests of rules and dashboards
	@test -x $(BIN)/prometheus/promtool || ./deploy/prometheus/fetch.sh $(BIN)/prometheus

.PHONY: test-prometheus
test-prometheus: prometheus ## promtool on every alert, then the real Prometheus on a running freshrelay under load and faults
	go test -C deploy -count 1 -timeout 40m -v -run 'Promtool|Live' . -live

SEEDS ?= 1000

.PHONY: test-sim
test-sim: ## compare SEEDS (1000) seeded simulations, of identify and of all calls, with oracles, and do no harm to a large account
	FRESHRELAY_SIM_SEEDS=$(SEEDS) FRESHRELAY_LONG=1 go test -count 1 -timeout 6h -run '^(TestSimulation|TestSimulationOfAllCalls|TestDoNoHarm|TestCallsPerContactInALargeBacklog)$$' ./worker

.PHONY: test-long
test-long: ## the long forms: a day of quota, a backfill of 50,000 contacts, a day of outage with the heap measured
	FRESHRELAY_LONG=1 go test -count 1 -timeout 6h -v -run '^(TestThePoolKeepsToTheQuota|TestThePoolKeepsToTheQuotaThroughCrashes|TestABackfillFindsVeryManyContactsWithFewCalls)$$' ./worker
	FRESHRELAY_LONG=1 go test -count 1 -timeout 6h -v -run '^TestAnOutageDoesNotGrowInMemory$$' ./worker

.PHONY: check
check: format-diff vet tidy-diff lint house race-quick ## what must hold before a commit: format, vet, tidy, lint, import directions, quick races
	@echo "check: all good"

.PHONY: race
race: need-cc ## run all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race ./...

.PHONY: test-clients
test-clients: ## let real Segment clients deliver to the program (needs Node, Chromium and, once, the npm registry)
	@./clients/install.sh
	go vet -tags clients ./clients
	go test -tags clients -count 1 -timeout 20m -v ./clients

.PHONY: test-replay
test-replay: ## replay 10,000 dead letters of 2,000 users behind live traffic, stopped, killed and restarted in the middle
	go test -count 1 -timeout 30m -v -run 'TestAReplayStaysBehindLiveTraffic' ./replay -letters 10000 -users 2000
	go test -count 1 -timeout 30m -v -run 'TestAReplayOutlivesItsStops' ./cmd/freshrelay -replay.letters 10000 -replay.users 2000 -replay.delay 50ms -replay.ratio 2

.PHONY: test-acme
test-acme: $(BIN)/pebble $(BIN)/pebble-challtestsrv ## order a certificate from a local ACME server (pebble, once through the Go proxy)
	go test -count 1 -run ACME -v ./app

SEED ?= $(shell date +%s)

.PHONY: test-crash
test-crash: ## kill the real program at every failpoint and at random moments: 300 users x 100 calls; SEED=n
	go test -count 1 -timeout 30m -v -run '^TestCrashesLoseNothing$$' ./app -crash.users 300 -crash.calls 100 -crash.random 12 -crash.seed $(SEED)

.PHONY: test-power
test-power: ## cut the power under full load, six times, and three times of three NATS servers at once; needs root and loop mounts, else it is skipped
	go test -count 1 -timeout 20m -v -run '^TestAPowerCut' ./app -power.cuts 6 -power.servers 3

.PHONY: test-cluster
test-cluster: ## several processes on nats-server processes: kill and freeze each at every failpoint, kill the stream leader 5 times
	go test -count 1 -timeout 40m -v -run '^(TestProcessesThatShareABrokerLoseNothing|TestAKilledStreamLeaderLosesNothing)$$' ./app -cluster.users 60 -cluster.calls 30 -cluster.kills 5 -cluster.points

.PHONY: test-series
test-series: ## a million users with a trait each: the metrics grow by no series (about ten minutes)
	go test -count 1 -timeout 60m -v -run '^TestUsersMakeNoSeries$$' ./app -series.users 1000000

.PHONY: bench
bench: ## run the benchmarks; BENCH=regexp, COUNT=n; compare two outputs with `go tool -modfile=tools/go.mod benchstat`
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target ($(FUZZTIME))"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: fmt
fmt: ## format all Go files
	$(TOOL) gofumpt -w .

.PHONY: lint
lint: $(LINTER) ## run golangci-lint (built once into bin/, about two minutes the first time)
	./$(LINTER) run ./...
	cd deploy && ../$(LINTER) run ./...

.PHONY: tidy
tidy: ## tidy go.mod and go.sum
	go mod tidy
	cd deploy && go mod tidy

.PHONY: vuln
vuln: ## look for known vulnerabilities (asks vuln.go.dev)
	$(TOOL) govulncheck ./...

.PHONY: deadcode
deadcode: ## list functions no program reaches
	$(TOOL) deadcode ./cmd/... ./examples/...

.PHONY: clean
clean: ## remove what make built and what `make run` stored
	rm -rf $(BIN) data-sandbox

# The linter has a module of its own: its dependencies would otherwise move the versions of the other tools.
$(LINTER): tools/golangci/go.mod tools/golangci/go.sum
	@mkdir -p $(BIN)
	@echo "building golangci-lint (once)"
	CGO_ENABLED=0 go build -C tools/golangci -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# The ACME server for tests has a module of its own too, so that the product does not grow by it.
$(BIN)/pebble $(BIN)/pebble-challtestsrv: tools/acme/go.mod tools/acme/go.sum
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -C tools/acme -o ../../$@ github.com/letsencrypt/pebble/v2/cmd/$(@F)

.PHONY: format-diff vet tidy-diff house race-quick need-cc
format-diff:
	@files=$$($(TOOL) gofumpt -l .) || exit 1; \
	if [ -n "$$files" ]; then $(TOOL) gofumpt -d $$files; echo "check: not formatted; run: make fmt"; exit 1; fi

vet:
	go vet ./...
	go vet -tags failpoints ./failpoint ./cmd/freshrelay
	go vet -C deploy ./...

tidy-diff:
	go mod tidy -diff
	cd deploy && go mod tidy -diff

house:
	go test -run '^TestHouse' -count 1 .

race-quick:
ifeq ($(CC_FOUND),)
	@echo "check: SKIPPED the race detector: no C compiler ($$(go env CC)) on this machine"
else
	CGO_ENABLED=1 go test -race $(RACE_QUICK)
endif

need-cc:
ifeq ($(CC_FOUND),)
	@echo "the race detector needs a C compiler ($$(go env CC)); install gcc, or set CC"; exit 1
endif
