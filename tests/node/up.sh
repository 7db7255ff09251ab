#!/usr/bin/env bash
# Makes everything ready for tests/node.rs: a one-node cluster, the demo app's image, CRDs and rights. Prints the
# cluster's environment.   up.sh SERIN
# SERIN_TEST_NODE names another cluster than the usual one, for whoever shares the machine.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

cluster=tests/cluster/cluster
name=${SERIN_TEST_NODE:-serin-test-node}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tests/cluster/build.sh node >&2
exports=$($cluster up node $name)
(cd examples/demo/app && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/demo-app" .) >&2
tests/cluster/mkimage.sh demo-app:demo "$work/demo-app" >"$work/demo-app.tar"
$cluster image $name "$work/demo-app.tar" >&2
"$1" crds >"$work/crds.yaml"
$cluster kubectl $name apply --server-side --force-conflicts -f "$work/crds.yaml" >&2
# kubectl fails on one that has no conditions yet.
for try in {1..50}; do
  $cluster kubectl $name wait --for=condition=Established --timeout=30s -f "$work/crds.yaml" >&2 && break
  [[ $try != 50 ]]
  sleep 0.2
done
$cluster kubectl $name apply -f tests/support/rbac.yaml >&2
printf '%s\n' "$exports"
echo "export SERIN_CONTROLLER_KUBECONFIG='$($cluster kubeconfig $name serin serin-test-controllers)'"
