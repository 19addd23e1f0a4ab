# Two commands do everything: `make demo` and `make test`.
GO      ?= go
PACKAGES = swaks libnet-ssleay-perl isync curl openssl chromium postgresql
FUZZTIME ?= 30s
OPENPGPJS = internal/testenv/openpgpjs
SUDO     = $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: demo build test tools lint bench fuzz

demo: build ## the whole system on loopback, with sample people
	./bin/pli demo $(DEMO)

build:
	$(GO) build -trimpath -o bin/pli ./cmd/pli

test: tools lint ## everything: stories with real clients, on both pairs of engines, guards, race detector
	$(GO) test -timeout 20m ./...
	PLI_TEST_ENGINES=postgres+s3 $(GO) test -timeout 20m ./internal/testenv
	$(GO) test -timeout 20m -race $(RACE)

# Rooms whose tests run a second time under the race detector.
RACE = ./store/... ./backup/... ./cmd/pli/instance/... ./mailbox/... ./mss/... ./signin/... ./consent/... ./dossier/... ./notify/... ./web/... ./certs/keyring/... ./internal/testenv/...

tools: ## the programs that tests drive: Debian packages by name, an S3 server, and OpenPGP.js
	@missing=""; for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	command -v npm >/dev/null || missing="$$missing nodejs npm"; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  $(SUDO) mkdir -p /etc/postgresql-common/createcluster.d; \
	  echo "create_main_cluster = false" | $(SUDO) tee /etc/postgresql-common/createcluster.d/pli-tests.conf >/dev/null; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; \
	fi
	@[ -x bin/versitygw ] || { echo "building the S3 server of the tests"; \
	  $(GO) build -C internal/engines/gateway -o $(CURDIR)/bin/versitygw github.com/versity/versitygw/cmd/versitygw; }
	@[ $(OPENPGPJS)/node_modules/.package-lock.json -nt $(OPENPGPJS)/package-lock.json ] || { echo "installing OpenPGP.js"; \
	  npm ci --silent --prefix $(OPENPGPJS); }

lint:
	@out="$$(gofmt -l .)"; if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...

bench: ## rates over real loopback connections, beside what the same disk can do
	$(GO) test -run '^$$' -bench . -benchmem -timeout 60m $(or $(BENCH),./...)

fuzz: ## every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done
