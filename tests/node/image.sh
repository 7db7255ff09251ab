#!/usr/bin/env bash
# Brings the controller's image into the cluster of up.sh and prints the path of Helm.   image.sh SERIN
# SERIN_IMAGE=FILE.tar takes that archive, of an image called serin:test, instead of one of the program given.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
. tests/cluster/parts.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests/cluster/build.sh helm >&2
image=${SERIN_IMAGE:-$work/serin.tar}
if [[ -z ${SERIN_IMAGE:-} ]]; then
  # Most of a program that was built for tests is for debuggers.
  strip -o "$work/serin" "$1"
  IMAGE_CERTIFICATES=1 tests/cluster/mkimage.sh serin:test "$work/serin" >"$image"
fi
tests/cluster/cluster image serin-test-node "$image" >&2
echo "$(part_dir helm)/helm"
