# victorgen: see README.md. Everything but `make e2e` and the first download of
# modules works without a network.

GO      ?= go
BIN     := bin
DEMO    := $(BIN)/demo

.PHONY: all build demo test e2e lint site update suite bench fuzz cover release-snapshot release-files image-tool image clean

all: build test lint

build: ## the program, bin/victorgen, as a release has it
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/victorgen ./cmd/victorgen

demo: build ## build production of examples/victor in a copy, with fake keys
	@rm -rf $(DEMO) && mkdir -p $(BIN) && cp -R examples/victor $(DEMO) && rm -rf $(DEMO)/deploy
	@(umask 077 && printf '%s\n' \
		'# Fake keys: they have the form of real ones and open nothing.' \
		'ANTHROPIC_API_KEY=sk-ant-3f9c1e7a-Quartz7-lantern-Brine' \
		'OPENAI_API_KEY=sk-7b2d90c4-Walnut3-cobalt-Sieve' \
		'SENTRY_DSN=https://3f9c1e7a52d84b06@sentry.victor.example/1' > $(DEMO)/.secrets.production)
	$(BIN)/victorgen build $(DEMO)/envs/production
	@echo && cd $(DEMO)/deploy/production && find . -type f | sort && echo && cut -c1-100 secrets/grafana-credentials.yaml

# TESTFLAGS=-race in CI; the race detector needs a C compiler. Tests run the program
# more than a thousand times, and what has the detector waits for a second at its end, by
# default: https://go.dev/doc/articles/race_detector#Options
TESTFLAGS ?=
test: export GORACE ?= atexit_sleep_ms=10
test: ## all tests
	$(GO) test -timeout 30m $(TESTFLAGS) ./...

e2e: ## the tests against real programs, which it installs into e2e/.cache, and what they cover; needs a network, Python and some of Debian's packages (CONTRIBUTING.md)
	@rm -rf $(BIN)/cover && mkdir -p $(BIN)/cover
	cd e2e && GOCOVERDIR=$(CURDIR)/$(BIN)/cover $(GO) test -count=1 -timeout 60m $(TESTFLAGS) ./...
	$(GO) tool covdata percent -i=$(BIN)/cover

lint: ## gofmt, go vet (for Windows and macOS, too), staticcheck, cue fmt
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w .'; exit 1; }
	$(GO) vet ./...
	GOOS=windows CGO_ENABLED=0 $(GO) vet -trimpath ./... # as a release is built, which then need not compile it all again
	GOOS=darwin CGO_ENABLED=0 $(GO) vet -trimpath ./...
	$(GO) tool staticcheck ./...
	$(GO) tool cue fmt --check ./schema/... && $(GO) tool cue fmt --check --files examples

# The packages whose tests have a text.
tests_with = $$(git grep -l $(1) -- '*_test.go' ':!e2e' | sed 's|^|./|; s|/[^/]*$$||' | sort -u)

update: ## rewrite the goldens; read the diff before you commit it
	VICTORGEN_UPDATE=1 $(GO) test $(call tests_with,VICTORGEN_UPDATE)

suite: ## the suite of the sources, with all of what it tries a part otherwise
	VICTORGEN_ALL=1 $(GO) test $(call tests_with,source/sourcetest)

# vals is built from hundreds of modules; without it, it is left out.
VALS      := github.com/helmfile/vals/cmd/vals@v0.46.1
KUBESEAL  := github.com/bitnami-labs/sealed-secrets/cmd/kubeseal@v0.36.0
KUSTOMIZE := sigs.k8s.io/kustomize/kustomize/v5@v5.8.1
ROWS      := $(CURDIR)/$(BIN)/bench.jsonl
bench: export VICTORGEN_BENCH_ROWS := $(ROWS)
bench: export VICTORGEN_BENCH_BIN  := $(CURDIR)/$(BIN)
bench: build ## what things take, against their limits and what others take: docs/performance.md; how many published and random values are refused
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/cue cuelang.org/go/cmd/cue
	test -x $(BIN)/kubeseal || GOBIN=$(CURDIR)/$(BIN) CGO_ENABLED=0 $(GO) install -trimpath $(KUBESEAL)
	test -x $(BIN)/kustomize || GOBIN=$(CURDIR)/$(BIN) CGO_ENABLED=0 $(GO) install -trimpath $(KUSTOMIZE)
	test -x $(BIN)/vals || GOBIN=$(CURDIR)/$(BIN) CGO_ENABLED=0 $(GO) install -trimpath $(VALS) || echo 'without vals'
	rm -f $(ROWS)
	$(GO) test -run '^$$' -bench 'Version|Process|Vet|Diff|Children' -benchtime 20x ./cmd/victorgen
	$(GO) test -run '^$$' -bench Fleet -benchtime 3x -timeout 60m ./cmd/victorgen
	$(GO) test -run '^$$' -bench ReadParameters -benchtime 1x ./cmd/victorgen
	$(GO) test -run '^$$' -bench . -benchtime 3x ./emit
	$(GO) test -run '^$$' -bench Manifests -benchtime 5x ./compiler/workload
	$(GO) test -run '^$$' -bench WorkTree -benchtime 5x ./scan
	$(GO) test -run '^$$' -bench Check -benchtime 3x ./compiler/value/derive
	$(GO) test -run '^$$' -bench Program -benchtime 1x -timeout 60m .
	VICTORGEN_RANDOM=1000000 $(GO) test -count=1 -timeout 60m -run 'Published|RandomValuesPass|WordsPass' -v ./compiler/value | grep refused
	$(GO) run ./internal/bench/table $(ROWS) docs/performance.md

FUZZTIME ?= 20s
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$pkg; \
		done; done

site: ## the documentation as a searchable site, bin/site; needs Python
	test -x $(BIN)/mkdocs/bin/mkdocs || { python3 -m venv $(BIN)/mkdocs && $(BIN)/mkdocs/bin/pip install -q --disable-pip-version-check -r site/requirements.txt; }
	rm -rf $(BIN)/site $(BIN)/site-pages && mkdir -p $(BIN)/site-pages
	git ls-files -z '*.md' LICENSE action.yml pull-request docs examples schema | tar --null -T - -cf - | tar -xf - -C $(BIN)/site-pages
	NO_MKDOCS_2_WARNING=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=site $(BIN)/mkdocs/bin/mkdocs build --strict --quiet -f site/mkdocs.yml

# v2.17.0 needs a module that the proxy does not serve.
GORELEASER      := github.com/goreleaser/goreleaser/v2@v2.16.0
RELEASE_SYSTEMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
RELEASE_FILES   := $(CURDIR)/$(BIN)/release-files
RELEASEFLAGS    ?= --snapshot --skip=sign
# It wants to know a remote, and a clone need not have one.
release-snapshot: ## what a release holds, bin/dist, but for what is signed and published: docs/install.md
	test -x $(BIN)/goreleaser || GOBIN=$(CURDIR)/$(BIN) GOFLAGS= $(GO) install $(GORELEASER)
	GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=remote.origin.url GIT_CONFIG_VALUE_0=https://github.com/victor-ai/victorgen \
		$(BIN)/goreleaser release --clean $(RELEASEFLAGS)

release-files: ## what a release holds beside the program, bin/release-files: manual pages, completions, licences
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/release-tool ./internal/release
	rm -rf $(RELEASE_FILES) && mkdir -p $(RELEASE_FILES)
	VICTORGEN_MAN=$(RELEASE_FILES) VICTORGEN_VERSION=$(VERSION) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(GO) test -count=1 -run TestManPages ./cmd/victorgen
	cp -R $(RELEASE_FILES)/man $(RELEASE_FILES)/man-gz && gzip -9n $(RELEASE_FILES)/man-gz/*
	$(BIN)/release-tool licenses $(RELEASE_FILES)/THIRD-PARTY-LICENSES.txt $(RELEASE_SYSTEMS)

KO                := github.com/google/ko@v0.18.1
VERSION           ?= $(shell git describe --tags --always)
COMMIT             = $(shell git rev-parse HEAD)
DATE               = $(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
export KO_DOCKER_REPO ?= ghcr.io/victor-ai/victorgen
image-tool:
	@test -x $(BIN)/ko || GOBIN=$(CURDIR)/$(BIN) GOFLAGS= $(GO) install $(KO)

image: image-tool ## the image of the program alone, pushed to KO_DOCKER_REPO; prints its name and digest
	@VERSION=$(VERSION) COMMIT=$(COMMIT) DATE=$(DATE) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
		$(BIN)/ko build --bare --platform=linux/amd64,linux/arm64 --image-user=65532:65532 --tags=$(VERSION) ./cmd/victorgen

cover: ## coverage, by function
	$(GO) test -coverpkg=./... -coverprofile=cover.out ./...
	$(GO) tool cover -func=cover.out

clean:
	rm -rf $(BIN) cover.out
