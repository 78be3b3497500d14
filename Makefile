# The README lists the targets that people use. `make test` sets up by itself what the tests need.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
CLIENTS     = .cache/clients
SERVERS     = .cache/servers

.PHONY: build test test-clients-setup test-servers-setup test-minio lint check bench million soak cluster killtest crash flips fuzz clean

build:                ## build bin/moraine
	go build -o bin/moraine ./cmd/moraine

test: test-clients-setup test-servers-setup  ## all tests; the import table apart, for it asks go list, which the test cache does not see
	go test -count=1 ./internal/arch
	MORAINE_CLIENTS=$(CURDIR)/$(CLIENTS) MORAINE_SERVERS=$(CURDIR)/$(SERVERS) go test ./...

test-clients-setup:   ## install the foreign clients that tests run (aws CLI, boto3, boto 2, JavaScript SDK)
	@scripts/setup-clients $(CLIENTS)

test-servers-setup:   ## install the servers that tests run (versitygw, PostgreSQL): two minutes, once
	@scripts/setup-servers $(SERVERS)

test-minio:           ## the store in a bucket against MinIO, which takes four minutes to build, once
	@scripts/setup-servers $(SERVERS) minio
	MORAINE_MINIO=1 MORAINE_SERVERS=$(CURDIR)/$(SERVERS) go test -count=1 ./internal/enginetest ./internal/store/objects

lint:                 ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -d . | head -40; echo "gofmt would change these files"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

check: lint test      ## what CI runs

bench:                ## uploads and downloads beside the bare hardware (docs/performance.md)
	go run ./bench

MORAINE_MILLION ?= 1000000

million:              ## stores a million small archives, starts again, and makes the catalogue anew (docs/performance.md)
	go run ./bench --million $(MORAINE_MILLION)

CLUSTER ?= 10m

cluster: test-clients-setup test-servers-setup  ## three nodes, PostgreSQL and an erasure-coded MinIO: kills, restarts and a cut network for CLUSTER; then the API's tests, and the foreign clients, on such engines
	@scripts/setup-servers $(SERVERS) minio
	MORAINE_SERVERS=$(CURDIR)/$(SERVERS) MORAINE_CLUSTER=$(CLUSTER) go test ./internal/daemon -run '^TestCluster$$' -count=1 -timeout 0 -v
	MORAINE_SERVERS=$(CURDIR)/$(SERVERS) MORAINE_TEST_SHARED_ENGINES=1 go test ./internal/api -count=1 -timeout 30m
	MORAINE_CLIENTS=$(CURDIR)/$(CLIENTS) MORAINE_SERVERS=$(CURDIR)/$(SERVERS) MORAINE_TEST_SHARED_ENGINES=1 MORAINE_TEST_NODES=3 go test ./internal/clienttest -count=1 -timeout 30m

SOAK ?= 2m

soak:                 ## mixed load with verification for SOAK
	MORAINE_SOAK=$(SOAK) go test ./internal/daemon -run '^TestSoak$$' -count=1 -timeout 0 -v

MORAINE_KILL ?= 2m

killtest:             ## kills the real binary under load, again and again, and verifies what it acknowledged
	MORAINE_KILL=$(MORAINE_KILL) go test ./internal/daemon -run '^TestKill$$' -count=1 -timeout 0 -v

MORAINE_INTERRUPT ?= 2GiB

interrupt:            ## upload, download, sync and restore of MORAINE_INTERRUPT, with the program killed, the server killed, and requests broken, again and again
	MORAINE_INTERRUPT=$(MORAINE_INTERRUPT) go test ./internal/cli -run '^TestInterrupt$$' -count=1 -timeout 0 -v

CRASH ?= 5m

crash:                ## the power fails at every operation of seeded workloads, and every operation fails by itself, for CRASH each
	GOGC=800 MORAINE_CRASH=$(CRASH) go test ./internal/vault -run 'TestCrashAnywhere|TestFailAnywhere' -v -count=1 -timeout 0

FLIPS ?= 3000

flips:                ## flip single bytes under a data directory, one at a time
	MORAINE_FLIPS=$(FLIPS) go test ./internal/daemon -run TestEveryFlippedByteIsNoticed -v -count=1 -timeout 0

FUZZTIME ?= 30s

fuzz:                 ## every fuzz target for FUZZTIME
	@for f in $$(git grep -lE '^func Fuzz' -- '*_test.go'); do \
	  for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$f); do \
	    echo "$$f $$name"; go test ./$$(dirname $$f) -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

clean:
	rm -rf bin .cache
