#!/usr/bin/env bash
# All tests, in stages from the cheapest to the dearest; without names all of them, in this order.
#   run.sh [fmt|lint|unit|controlplane|node]...
# fmt           formatting of Rust and Go
# lint          clippy with warnings as errors, go vet, the syntax of every script
# unit          rings 1 and 2: engine, wire, model cluster, scripted APIs, a real Prometheus on loopback; the demo's judge
# controlplane  ring 3: a real control plane with faked pods; the chart, its alerts and the plain manifests
# node          ring 4: the demo on a real node with real requests, and whatever else needs one (root)
#
# Builds and installs what is missing. A stage that fails does not keep the others from running. The last line is
# "N passed, N failed", in stages.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
. tests/cluster/parts.sh

all=(fmt lint unit controlplane node)
cluster=tests/cluster/cluster
# The clusters that tests start, by name. They are taken away at the end, unless they were there before.
ours='^(test-.*|serin-takeover|serin-analysis|serin-test-node)$'

# A cluster or a demo of the user's is none of the tests' business.
unset KUBECONFIG KEEP DEMO_IMAGE PROMETHEUS_ADDRESS ARGO_ROLLOUTS_PROMETHEUS_ADDRESS POD_NAMESPACE SERIN_APISERVER_FLAGS

go_modules() { git ls-files '*go.mod' | xargs -n 1 dirname; }

# Modules of our own code only: the rest are lists of versions to build from.
go_programs() { printf '%s\n' examples/demo/app tests/cluster/httpd tests/cluster/pause tests/cluster/argocd; }

stage_fmt() {
  cargo fmt -- --check -l
  local unformatted
  unformatted=$(go_modules | xargs gofmt -l)
  [[ -z $unformatted ]] || { say "not formatted by gofmt:" "$unformatted"; return 1; }
}

stage_lint() {
  # All features, so that the code of every ring is looked at; dependencies are built once for this and all else.
  cargo clippy --locked --all-targets --all-features -- -D warnings
  local program script
  for program in $(go_programs); do (cd "$program" && GOWORK=off go vet ./...); done
  for script in $(git grep -lE '^#!/usr/bin/env bash' -- . ':!*.md'); do bash -n "$script"; done
}

stage_unit() {
  tests/cluster/build.sh prometheus
  PATH=$(part_dir prometheus):$PATH
  cargo test --locked --no-fail-fast
  cargo test --locked --no-fail-fast --example demo
  local program
  for program in $(go_programs); do (cd "$program" && GOWORK=off go test ./...); done
}

# targets FEATURE: the options that name the test targets that need this feature, one a line
targets() {
  cargo metadata --locked --no-deps --format-version 1 | jq -r --arg feature "$1" '.packages[].targets[]
    | select(.kind == ["test"] and (."required-features" // [] | index($feature))) | "--test=\(.name)"'
}

stage_controlplane() {
  tests/cluster/build.sh fake prometheus helm argocd plugin
  PATH=$(part_dir prometheus):$PATH
  local tests
  # The first two come after the others, the last only when asked for.
  tests=$(targets cluster-tests | grep -vxE -e "--test=(roles|secrets|soak)")
  [[ -n $tests ]] || { say "no test target has cluster-tests among its required-features"; return 1; }
  # The tests mostly wait: many at once take little longer than the longest of them.
  # shellcheck disable=SC2086 # one option a word
  cargo test --locked --no-fail-fast --features cluster-tests $tests -- --test-threads=12
  # What all of them called, against what they are allowed to; and no secret in all that they left.
  local status=0
  cargo test --locked --features cluster-tests --test roles || status=1
  cargo test --locked --features cluster-tests --test secrets -- --nocapture || status=1
  return $status
}

stage_node() {
  tests/cluster/build.sh node prometheus helm
  # Through a pipe: no terminal, so lines instead of a live picture.
  examples/demo/run.sh </dev/null 2>&1 | cat
  local tests
  tests=$(targets node-tests)
  # shellcheck disable=SC2086
  [[ -z $tests ]] || cargo test --locked --no-fail-fast --features node-tests $tests
}

# need COMMAND HOW...: a tool that is there, or can be had
need() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return
  say "$command is missing: $*"
  "$@" >&2 || { say "$command is needed"; exit 2; }
}

prepare() {
  local tool
  for tool in cargo go git; do
    command -v "$tool" >/dev/null || { say "$tool is needed"; exit 2; }
  done
  need cargo-fmt rustup component add rustfmt
  need cargo-clippy rustup component add clippy
  need cc eval 'apt-get -q update && apt-get -q install -y --no-install-recommends gcc libc6-dev'
}

clusters() { $cluster status | awk -v ours="$ours" '$1 ~ ours {print $1}'; }

take_away() {
  local status=$? names
  trap - EXIT
  trap '' INT TERM
  names=$(clusters | grep -vxF "$before" || true)
  # shellcheck disable=SC2086
  [[ -z $names ]] || $cluster down $names || status=1
  exit "$status"
}

[[ $# -gt 0 ]] || set -- "${all[@]}"
for stage in "$@"; do
  [[ " ${all[*]} " == *" $stage "* ]] || { say "usage: tests/run.sh [${all[*]}]"; exit 2; }
done
before=$(clusters)
trap take_away EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
prepare

passed=0 failed=0 report=
for stage in "$@"; do
  printf '\n== %s\n' "$stage"
  begin=$SECONDS
  # Not as a condition: there errexit would be off inside.
  set +e
  (
    trap - EXIT INT TERM
    set -e
    "stage_$stage"
  )
  status=$?
  set -e
  if [[ $status == 0 ]]; then passed=$((passed + 1)) word=passed; else failed=$((failed + 1)) word=FAILED; fi
  line=$(printf '== %-12s %-6s %5d s' "$stage" "$word" $((SECONDS - begin)))
  printf '%s\n' "$line"
  report+=$line$'\n'
done
printf '\n%s%s\n' "$report" "$passed passed, $failed failed"
[[ $failed == 0 ]]
