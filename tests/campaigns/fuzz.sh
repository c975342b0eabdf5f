#!/usr/bin/env bash
# make campaign fuzz: every fuzz target for FUZZ_SECONDS (default 600), one after another.
#
# Work lies in build/fuzz/campaign/<target>/: the grown corpus, findings, result.json. A target that has its result of
# this commit and length is not run again, so a campaign that was interrupted goes on where it was; FUZZ_FRESH=1 begins
# anew. The grown corpora stay in any case. FUZZ_TARGETS="name name" runs these only.
# Inputs that reach code the corpus in the repository does not reach are added to it, those of most bytes first (they
# reach most), to at most FUZZ_KEEP files a target. docs/campaigns/fuzz.json is written from the results. Exit code 1:
# something was found.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-600}
keep=${FUZZ_KEEP:-40}
only=${FUZZ_TARGETS:-}
work=$PWD/build/fuzz/campaign
for tool in clang++ python3; do
  command -v $tool >/dev/null || { echo "campaign fuzz: $tool is not here (apt-get install clang python3)" >&2; exit 2; }
done

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j "${JOBS:-$(nproc)}"
mkdir -p "$work" docs/campaigns
export TMPDIR=$work/tmp
[ -w /dev/shm ] && TMPDIR=$(mktemp -d /dev/shm/ftl-fuzz-XXXXXX)
mkdir -p "$TMPDIR"
trap 'rm -rf "$TMPDIR"' EXIT
# What libFuzzer calls slow, large or long: 10 s, 2 GiB, 4 KiB of input.
limits=(-rss_limit_mb=2048 -timeout=10 -max_len=4096)

# The fewest inputs that reach every edge, not every number of times an edge is taken: dozens of files, not thousands.
keep_inputs() {  # name
  local here=$work/$1 kept=tests/fuzz/corpus/$1 file count
  rm -rf "$here/merged"
  mkdir "$here/merged"
  cp "$kept"/* "$here/merged/"
  nice -n 5 "build/fuzz/tests/fuzz_$1" "${limits[@]}" -use_counters=0 -set_cover_merge=1 "$here/merged" "$here/corpus"
  count=$(find "$kept" -type f | wc -l)
  while read -r file; do
    [ "$count" -lt "$keep" ] || break
    [ -e "$kept/$(basename "$file")" ] || { cp "$file" "$kept/"; count=$((count + 1)); }
  done < <(find "$here/merged" -type f -size -1025c -printf '%s %p\n' | sort -rn | cut -d' ' -f2-)
}

run_target() {  # name
  local name=$1 here=$work/$1 kept=tests/fuzz/corpus/$1 program=build/fuzz/tests/fuzz_$1 status=0
  rm -rf "$here/findings"
  mkdir -p "$here/corpus" "$here/findings"
  echo "campaign fuzz: $name for $seconds s"
  nice -n 5 "$program" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$here/findings/" \
    "$here/corpus" "$kept" >"$here/log" 2>&1 || status=$?
  # What was found is kept by hand, once it is mended.
  if [ "$status" -eq 0 ]; then keep_inputs "$name" >>"$here/log" 2>&1 || status=$?; fi
  python3 tests/campaigns/fuzz_report.py result "$name" "$here" "$seconds" "$status"
}

commit=$(git describe --always --dirty --exclude="*")
has_result() { grep -qs "\"seconds\": $seconds," "$1" && grep -qs "\"commit\": \"$commit\"" "$1"; }

for source in tests/fuzz/*_fuzz.cpp; do
  name=$(basename "$source" _fuzz.cpp)
  [[ -z $only || " $only " == *" $name "* ]] || continue
  if [ "${FUZZ_FRESH:-0}" != 1 ] && has_result "$work/$name/result.json"; then
    echo "campaign fuzz: $name has its result"
    continue
  fi
  run_target "$name"
done
python3 tests/campaigns/fuzz_report.py summary "$work" docs/campaigns/fuzz.json
