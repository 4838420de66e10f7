# terrine
#
#   make image    an image of examples/hello, in image.tar.gz
#   make test     everything that is checked
#
GO ?= go
# Stamp the commit into terrine where git can tell it.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)

# How long make soak takes, and how many kills and cuts make campaign does.
SOAK ?= 2h
CAMPAIGN ?= 10000,1000

.DEFAULT_GOAL := help
.PHONY: image build test tools lint unit e2e fuzz soak campaign bench bench-layering man clean help

image: build ## build examples/hello into image.tar.gz
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -buildvcs=false -ldflags=-s -o examples/hello/root/bin/hello ./examples/hello
	bin/terrine build examples/hello/image.json -o image.tar.gz
	@echo
	@echo 'image.tar.gz is ready. Now:'
	@echo '  docker load < image.tar.gz'
	@echo '  docker run --rm hello:latest -once'
	@echo '  docker run --rm -p 8080:8080 hello:latest'

build: ## build bin/terrine
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(BUILDVCS) -o bin/terrine ./cli/terrine

test: ## run every check: install tools, lint, unit tests, fuzzing, end-to-end tests
	$(MAKE) tools
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) fuzz
	$(MAKE) e2e

tools: ## install what the tests need (Debian, as root)
	tests/install.sh

lint: ## gofmt, go vet, staticcheck; also as seen from darwin
	tests/lint.sh

unit: ## go test -race, without the end-to-end tests
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v '^terrine/tests')

e2e: ## end-to-end tests with nix, docker, podman, skopeo, umoci
	$(GO) test -race -timeout 30m ./tests/...

soak: ## 32 processes on one store for SOAK (2h; with fewer processes 10m,8), under the race detector
	TERRINE_SOAK=$(SOAK) $(GO) test -race ./store -run '^TestManyProcesses$$' -count 1 -timeout 0 -v

campaign: ## 10,000 kills and 1,000 power cuts; writes docs/reliability.md
	TERRINE_CAMPAIGN=$(CAMPAIGN) $(GO) test ./tests/crash -run '^Test(Campaign|ManyFiles)$$' -count 1 -timeout 0 -v

fuzz: ## each fuzz target for FUZZTIME (10s)
	tests/fuzz.sh

bench: ## measure terrine against GNU tar, pigz and others, side by side; more with BENCH_STREAM_LAYERED_IMAGE=FILE, BENCH_NIX2CONTAINER=FILE
	$(GO) run ./tests/bench

bench-layering: ## layering: time and memory; what hosts pull again over real updates, against the targets
	TERRINE_BENCH_LAYERING=1 $(GO) test ./layering -run '^TestBounds$$' -count 1 -v
	$(GO) run ./tests/histories/table
	$(GO) run ./tests/histories/table -targets

man: ## write docs/man anew
	$(GO) test ./cli -run '^TestManPages$$' -update

clean: ## remove what make has built
	rm -rf bin image.tar.gz examples/hello/root

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
