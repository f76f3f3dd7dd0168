# make test is what CI runs. Each target works alone.
.PHONY: build test format vet staticcheck npm race whole fuzz bench microbench soak agents man

FUZZTIME ?= 3s
SOAK ?= 1h
export GOTOOLCHAIN = local

build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o outvet ./cmd/outvet

test: format vet staticcheck npm race whole

format:
	@bad=$$(gofmt -l call cmd internal test *.go); test -z "$$bad" || { echo "not formatted: $$bad"; exit 1; }

vet:
	go vet ./...

staticcheck:
	go tool -modfile=tools/go.mod staticcheck ./...

# What the flows need of npm: fetch through a proxy in Node 20, MCP. And two agents
# (0.8 GB); where npm does not serve one its tests are skipped and say so.
npm:
	@cd test/flow/node && npm ci --no-audit --no-fund --loglevel=error
	@for agent in claude codex; do \
		(cd test/agents/npm/$$agent && timeout 120 npm ci --no-audit --no-fund --loglevel=error) || echo "$$agent cannot be installed here"; \
	done

race:
	go test -race -timeout 10m $$(go list ./... | grep -v /test/)

# The program as a whole: real clients, hidden secrets, attacks. One at a time,
# since they watch the clock.
whole:
	go test -p 1 -timeout 15m ./test/...

# Every fuzz target for a short while; a longer run: make fuzz FUZZTIME=5m. Not
# part of test, which runs the seeds: what chance finds is for who looks for it.
fuzz:
	@set -e; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' internal call); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$(dirname $$file); \
		done; \
	done

# The budgets, as ratios to reference proxies (doc/performance.md). A minute;
# longer and with the full counts: make bench FULL=1
bench:
	go run ./test/bench $(if $(FULL),-full)

microbench:
	go test -run '^$$' -bench . -benchmem ./...

# Mixed load for as long as is asked for; memory must stay flat.
soak:
	OUTVET_SOAK=$(SOAK) go test -count=1 -v -timeout 24h -run TestSoak ./test/siege

# Real agents with a scripted model: installs all of them from npm (1.5 GB), more
# than make test does, and runs each. What npm does not serve, or does not run here,
# is skipped and says so.
agents:
	@for agent in test/agents/npm/*/; do \
		(cd $$agent && npm install --no-audit --no-fund --loglevel=error) || echo "$$agent cannot be installed here"; \
	done
	go test -count=1 -v -timeout 30m ./test/agents

man: build
	./outvet man --dir doc/man
