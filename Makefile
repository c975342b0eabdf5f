# Two commands do everything on a fresh Debian 12 or Ubuntu 24.04 machine: `make run` and `make test`.
# Both install missing packages (as root, or with sudo), build the release preset, and say what they do.

PRESET ?= release
BUILD  := build/$(PRESET)
JOBS   ?= $(shell nproc)
space  := $(subst ,, )

.PHONY: all setup build run test sanitize sanitize-slice campaign clang format tidy clean

all: build

setup:
	@cmake/setup.sh

$(BUILD)/build.ninja: | setup
	@cmake --preset $(PRESET)

build: setup $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

# The first run: LoRA fine-tuning of the example model on two logical nodes of this machine, then the same prompt before and after.
run: build
	@examples/first_run.sh $(BUILD)/bin

test: build
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j 1

# Address+undefined sanitizers over every test that is no real multi-process run, the thread sanitizer over those with threads.
sanitize: setup
	@cmake --preset asan && cmake --build build/asan -j $(JOBS) --target single_process_tests && ctest --preset asan --no-tests=error
	@cmake --preset tsan && cmake --build build/tsan -j $(JOBS) --target threaded_tests && ctest --preset tsan --no-tests=error

# What of it fits into ten minutes of CI: every parser over its corpus, checkpoints and kernels; threads where they are shared out.
ASAN_SLICE := fuzz_corpus_test kernels_against_reference_test hot_state_test
TSAN_SLICE := thread_pool_test cpu_device_test
sanitize-slice: setup
	@cmake --preset asan && cmake --build build/asan -j $(JOBS) --target $(ASAN_SLICE) && \
	  ctest --preset asan --no-tests=error -R '^($(subst $(space),|,$(ASAN_SLICE)))$$'
	@cmake --preset tsan && cmake --build build/tsan -j $(JOBS) --target $(TSAN_SLICE) && \
	  ctest --preset tsan --no-tests=error -R '^($(subst $(space),|,$(TSAN_SLICE)))$$'

# make campaign NAME: a search of many minutes, tests/campaigns/NAME.sh (each says what it does and how long).
campaign: setup
	@test -x "tests/campaigns/$(CAMPAIGN).sh" || \
	  { echo "make campaign NAME, one of: $(patsubst tests/campaigns/%.sh,%,$(wildcard tests/campaigns/*.sh))"; exit 2; }
	@JOBS=$(JOBS) "tests/campaigns/$(CAMPAIGN).sh"
ifeq ($(firstword $(MAKECMDGOALS)),campaign)
CAMPAIGN := $(word 2,$(MAKECMDGOALS))
.PHONY: $(CAMPAIGN)
$(CAMPAIGN):
	@:
endif

clang: setup
	@cmake --preset clang && cmake --build build/clang -j $(JOBS)

format:
	@git ls-files '*.cpp' '*.h' '*.cu' '*.cuh' | xargs clang-format -i

tidy: build
	@git ls-files '*.cpp' | grep -v -e '^kernels/cuda' -e '^comm/nccl' | xargs -P $(JOBS) -n 4 clang-tidy -p $(BUILD) --quiet

clean:
	@rm -rf build
