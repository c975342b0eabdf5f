#!/bin/sh
# Every fault of the contract's table with ten seeds (SEEDS), on real processes. Kept and resumed in docs/campaigns/.
set -eu
build=${BUILD:-build/release}
cmake --build "$build" --target fault_campaign
exec "$build/tests/fault_campaign" docs/campaigns "${SEEDS:-10}"
