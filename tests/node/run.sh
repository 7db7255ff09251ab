#!/usr/bin/env bash
# The tests of tests/node.rs on a cluster of their own, which is taken away afterwards. As root.
#   run.sh [NAME-OF-A-TEST...]      KEEP=1 leaves the cluster
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

[[ $UID == 0 ]] || { echo "run.sh: a real node needs root" >&2; exit 1; }
finish() {
  local status=$?
  trap - EXIT
  [[ -n ${KEEP:-} && ${KEEP:-} != 0 ]] || tests/cluster/cluster down serin-node || status=1
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# One after the other: each wants the node for itself.
cargo test --locked --features node-tests --test node -- --test-threads=1 --nocapture "$@"
