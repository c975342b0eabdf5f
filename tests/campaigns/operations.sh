#!/bin/sh
# Every operation of the CPU against its floor, and what being watched costs; on a quiet machine, some 40 s.
set -eu
build=${BUILD:-build/release}
command -v python3 >/dev/null || { echo "campaign operations: python3 is not here" >&2; exit 2; }
cmake --build "$build" --target kernel_bench
"$build/bin/kernel_bench" --benchmark_out=docs/operations.json --benchmark_out_format=json
exec python3 bench/operations_page.py docs/operations.json docs/operations.md
