#!/usr/bin/env bash
# What a canary costs: API calls from the audit log of a real API server with faked pods, CPU and memory of the
# controller from /proc.   run.sh [ROLLOUTS]
#
# First one canary of 5 replicas (maxSurge 1, maxUnavailable 0, weights 20 and 60, two pauses of 2 s) alone, then
# ROLLOUTS (200) of them at once.
#
#   KEEP=1       leaves the cluster and the logs
#   SERIN=FILE   measures that binary instead of a release build of this tree, say one with other settings
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

cluster=tests/cluster/cluster
name=serin-test-bench
count=${1:-200}
work=${TMPDIR:-/tmp}
work=${work%/}/serin-bench-$UID
pid=

say() { printf '%s\n' "bench: $*" >&2; }
die() { say "$*"; exit 1; }
kc() { "$SERIN_KUBECTL" "$@"; }

finish() {
  local status=$?
  trap - EXIT
  if [[ -n $pid ]]; then
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
  fi
  if [[ -n ${KEEP:-} && ${KEEP:-} != 0 ]]; then
    say "kept: the cluster $name and $work"
  else
    $cluster down $name || status=1
    if [[ $status == 0 ]]; then rm -rf "$work"; else say "the controller's log is $work/controller.log"; fi
  fi
  exit "$status"
}

free_port() {
  local port
  for ((port = $1; port < $1 + 500; port++)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  die "no free port"
}

rollouts() { # rollouts VERSION NAME...
  local version=$1 rollout
  shift
  for rollout; do
    sed -e "s/NAME/$rollout/" -e "s/VERSION/$version/" tests/bench/rollout.yaml
    echo ---
  done
}

# How many Rollouts are healthy, in their newest version.
healthy() {
  kc get --raw /apis/argoproj.io/v1alpha1/namespaces/bench/rollouts | jq --arg image "shop:$1" '[.items[] | select(
    .spec.template.spec.containers[0].image == $image and .status.phase == "Healthy" and
    .status.observedGeneration == (.metadata.generation | tostring) and .status.stableRS == .status.currentPodHash and
    .status.availableReplicas == 5)] | length'
}

wait_healthy() { # wait_healthy VERSION COUNT SECONDS
  local until=$((SECONDS + $3)) now
  until now=$(healthy "$1") && [[ $now == "$2" ]]; do
    [[ $SECONDS -lt $until ]] || die "only $now of $2 are healthy after $3 s"
    kill -0 "$pid" 2>/dev/null || die "the controller ended"
    sleep 0.5
  done
}

ticks() { local stat; stat=$(<"/proc/$pid/stat"); set -- ${stat##*) }; echo $((${12} + ${13})); }
memory() { sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$pid/status"; }
megabytes() { awk -v kb="$1" 'BEGIN {printf "%.1f MB", kb / 1024}'; }
mark() { wc -c <"$SERIN_AUDIT_LOG"; }
passes() {
  curl -s --noproxy "*" "http://127.0.0.1:$metrics/metrics" | awk "index(\$1, \"serin_passes_total{kind=\\\"Rollout\\\"\") == 1 {all += \$2} END {print all + 0}"
}

# The controller's requests since a mark, as lines of verb, resource and number; watches and the lease apart.
calls() {
  tail -c "+$(($1 + 1))" "$SERIN_AUDIT_LOG" | { grep -F '"username":"serin"' || true; } | jq -r '
    select(.stage == "ResponseComplete" and .verb != "watch" and .objectRef.resource != "leases") |
    [.verb, ([.objectRef.resource, .objectRef.subresource // empty] | join("/")),
     if (.responseStatus.code // 0) >= 400 then "refused \(.responseStatus.code)" else "" end] | join(" ")' |
    sort | uniq -c | sort -rn
}

report() { # report TITLE MARK ROLLOUTS
  calls "$2" | awk -v title="$1" -v n="$3" '
    {line[NR] = $0; if ($3 == "events") events += $1; else total += $1}
    END {
      printf "%s\n", title
      for (i = 1; i <= NR; i++) {
        split(line[i], f, " ")
        rest = line[i]; sub(/^ *[0-9]+ /, "", rest)
        printf "  %8.2f  %s\n", f[1] / n, rest
      }
      printf "  %8.2f  calls besides events (best known 32, aim 22)\n", total / n
      printf "  %8.2f  calls for events (best known 4 to 10)\n\n", events / n
    }'
}

mkdir -p -m 700 "$work"
exec 9>"$work.lock"
flock -n 9 || die "a benchmark is running already"
for tool in cargo jq curl; do command -v $tool >/dev/null || die "$tool is not installed"; done

if [[ -z ${SERIN:-} ]]; then
  say "building"
  cargo build --locked --release --bin serin
  SERIN=${CARGO_TARGET_DIR:-target}/release/serin
fi
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
$cluster down $name
exports=$($cluster up fake $name 9>&-)
eval "$exports"

"$SERIN" crds | kc create -f - >"$work/apply.log"
# kubectl fails on one that has no conditions yet.
tries=0
until kc wait --for=condition=Established --timeout=30s crd/rollouts.argoproj.io >>"$work/apply.log" 2>&1; do
  ((tries++ < 100)) || die "the CRDs do not become established"
  sleep 0.2
done
kc apply -f tests/support/rbac.yaml >>"$work/apply.log"
kc create namespace bench >>"$work/apply.log"
config=$($cluster kubeconfig $name serin serin-test-controllers)
healthz=$(free_port 18280) metrics=$(free_port 18780)
POD_NAMESPACE=bench "$SERIN" controller --kubeconfig "$config" --healthzPort "$healthz" --metricsPort "$metrics" \
  --loglevel "${LOG_LEVEL:-info}" >"$work/controller.log" 2>&1 9>&- &
pid=$!
echo "$pid" >"$work/controller.pid"
until curl -sf --noproxy '*' -o "$work/readyz" "http://127.0.0.1:$healthz/readyz"; do
  kill -0 "$pid" 2>/dev/null || die "the controller ended"
  sleep 0.2
done
sleep 1
started=$(memory VmRSS)

say "one canary"
rollouts v1 alone | kc apply --server-side -f - >>"$work/apply.log"
wait_healthy v1 1 60
# What a canary leaves to be written later belongs to it.
sleep 7
from=$(mark)
rollouts v2 alone | kc apply --server-side -f - >>"$work/apply.log"
wait_healthy v2 1 120
sleep 7
report "One canary of 5 replicas" "$from" 1
kc delete rollout alone -n bench >>"$work/apply.log"

say "$count at once: the first version"
mapfile -t names < <(seq -f 'shop-%03g' "$count")
rollouts v1 "${names[@]}" | kc apply --server-side -f - >>"$work/apply.log"
wait_healthy v1 "$count" 600
sleep 10
idle=$(memory VmRSS) before=$(ticks)
sleep 10
resting=$(($(ticks) - before))

say "$count at once: the update"
from=$(mark) before=$(ticks) start=$EPOCHREALTIME looked=$(passes)
rollouts v2 "${names[@]}" | kc apply --server-side -f - >>"$work/apply.log"
applied=$EPOCHREALTIME
wait_healthy v2 "$count" 900
end=$EPOCHREALTIME
sleep 7
spent=$(($(ticks) - before)) looked=$(($(passes) - looked))
report "$count canaries at once, per canary" "$from" "$count"
hz=$(getconf CLK_TCK)
awk -v spent="$spent" -v hz="$hz" -v n="$count" -v start="$start" -v applied="$applied" -v end="$end" \
  -v resting="$resting" -v passes="$looked" 'BEGIN {
    printf "  %8.1f  ms of CPU per canary (best known 70 to 98, aim 10)\n", spent * 1000 / hz / n
    printf "  %8.1f  passes per canary\n", passes / n
    printf "  %8.1f  s until all were healthy, of which %.1f s to apply them\n", end - start, applied - start
    printf "  %8.1f  ms of CPU per second at rest\n\n", resting * 1000 / hz / 10
  }'
cat <<TEXT
Memory of the controller
  $(megabytes "$(memory VmHWM)")  at its peak (best known 107 MB, aim 30 MB)
  $(megabytes "$idle")  at rest, $count Rollouts, before the update
  $(megabytes "$(memory VmRSS)")  at the end
  $(megabytes "$started")  without any Rollout
TEXT
