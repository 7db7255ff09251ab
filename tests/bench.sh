#!/usr/bin/env bash
# What canaries cost: N at once on the faked-pod cluster, each of 5 replicas (maxSurge 1, maxUnavailable 0) with the weights
# 20 and 60 and two pauses of 5 s. Prints the controller's calls by verb and resource (from the audit log), its CPU time
# and peak memory, and the time until all are healthy.
#   bench.sh [N]         200 without N;  SERIN=path takes that binary instead of building one for release
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

count=${1:-200}
cluster=tests/cluster/cluster
name=test-bench
work=$(mktemp -d)
controller=

finish() {
  local status=$?
  trap - EXIT
  [[ -z $controller ]] || kill "$controller" 2>/dev/null || true
  [[ $status == 0 || ! -e $work/log ]] || tail -n 20 "$work/log" >&2
  $cluster down $name || status=1
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

rollouts() { # rollouts IMAGE
  local i
  for ((i = 0; i < count; i++)); do
    cat <<YAML
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: bench-$i}
spec:
  replicas: 5
  selector: {matchLabels: {app: bench-$i}}
  template:
    metadata: {labels: {app: bench-$i}}
    spec: {containers: [{name: app, image: "$1"}]}
  strategy:
    canary:
      maxSurge: 1
      maxUnavailable: 0
      steps: [{setWeight: 20}, {pause: {duration: 5s}}, {setWeight: 60}, {pause: {duration: 5s}}]
YAML
  done
}

kc() { "$SERIN_KUBECTL" "$@"; }

wait_healthy() { # every Rollout, of its present generation
  local until=$((SECONDS + 600)) healthy
  while
    healthy=$(kc get rollouts -o json | jq '[.items[] | select(.status.phase == "Healthy"
      and .status.observedGeneration == (.metadata.generation | tostring))] | length')
    [[ $healthy != "$count" ]]
  do
    [[ $SECONDS -lt $until ]] || { echo "only $healthy of $count are healthy" >&2; exit 1; }
    sleep 1
  done
}

cpu_ms() {
  local stat
  read -r stat <"/proc/$controller/stat"
  set -- ${stat##*) }
  echo $(((${12} + ${13}) * 1000 / $(getconf CLK_TCK)))
}

if [[ -z ${SERIN:-} ]]; then
  cargo build --locked --release --bin serin
  SERIN=${CARGO_TARGET_DIR:-target}/release/serin
fi
exports=$($cluster up fake $name)
eval "$exports"
kc apply -f crds/ >/dev/null
kc wait --for=condition=Established --timeout=30s -f crds/ >/dev/null
KUBECONFIG=$($cluster kubeconfig $name bench system:masters) "$SERIN" controller --leader-elect=false \
  --healthzPort 0 --metricsPort 0 >"$work/log" 2>&1 &
controller=$!
rollouts app:v1 | kc apply -f - >/dev/null
wait_healthy

lines=$(wc -l <"$SERIN_AUDIT_LOG") cpu=$(cpu_ms) begin=$SECONDS
rollouts app:v2 | kc apply -f - >/dev/null
wait_healthy
took=$((SECONDS - begin)) cpu=$(($(cpu_ms) - cpu))
# The last events and counters are still on their way.
sleep 6
tail -n "+$((lines + 1))" "$SERIN_AUDIT_LOG" | jq -r 'select(.user.username == "bench" and .verb != "watch")
  | "\(.verb) \(.objectRef.resource)\(if .objectRef.subresource then "/" + .objectRef.subresource else "" end) \(.responseStatus.code)"' |
  sort | uniq -c >"$work/calls"

echo "$count canaries at once"
awk -v n="$count" '{printf "  %-8s %-28s %s %8d %8.2f a canary\n", $2, $3, $4, $1, $1 / n}
  $3 != "events" {all += $1}
  END {printf "  all but events %39d %8.2f a canary\n", all, all / n}' "$work/calls"
echo "  CPU: $cpu ms, $(awk -v c="$cpu" -v n="$count" 'BEGIN {printf "%.1f", c / n}') ms a canary"
echo "  peak memory: $(awk '/^VmHWM/ {printf "%.0f MB", $2 / 1024}' "/proc/$controller/status")"
echo "  all healthy after $took s"
