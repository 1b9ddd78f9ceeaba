# `make demo` and `make test` need nothing beforehand but cargo and make: they install packages,
# fetch the speech model and build. No package is ever removed; only `make test` installs those of
# the tests. Everything that is fetched or built lies in $(PTT_CACHE), outside the tree.

PTT_CACHE ?= $(HOME)/.cache/ptt
CARGO ?= cargo
CARGO_TARGET_DIR ?= $(PTT_CACHE)/target
PTT_MODELS ?= $(PTT_CACHE)/models
export PTT_CACHE CARGO CARGO_TARGET_DIR PTT_MODELS

.PHONY: demo test setup packages test-packages model lint

# Speech from a file through the real engine to stdout, with every latency. Needs no microphone and no keyboard.
demo: setup
	$(CARGO) run --locked -p ptt-app -- demo

test: export PTT_TEST_CTRANSLATE2 ?= $(PTT_CACHE)/ctranslate2/tiny.en
test: setup test-packages
	$(CARGO) test --locked --workspace

setup: packages model

packages:
	scripts/setup-packages build

test-packages:
	scripts/setup-packages test

model: packages
	scripts/setup-model

# What else the CI looks at.
lint: packages
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	scripts/licences
