#!/bin/sh
# Installs the packages of packages.txt that are missing (Debian, Ubuntu). Needs root or sudo; asks nothing.
set -eu
list="$(dirname "$0")/packages.txt"
missing=""
for package in $(grep -v '^#' "$list"); do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: this machine has no apt-get; install the equivalents of:$missing" >&2
  exit 1
fi
if [ "$(id -u)" -eq 0 ]; then sudo=""; elif command -v sudo >/dev/null 2>&1; then sudo="sudo"; else
  echo "setup: these packages are missing and neither root nor sudo is at hand:$missing" >&2
  exit 1
fi
echo "setup: installing$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
