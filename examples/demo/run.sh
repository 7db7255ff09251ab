#!/usr/bin/env bash
# The demo from nothing: builds, starts a one-node cluster, Prometheus and the controller, shows the demo,
# and takes all of it away again.   run.sh [down]
#
#   KEEP=1                 leave everything running; `run.sh down` takes it away
#   KUBECONFIG=...         use that cluster; then these two are needed:
#     DEMO_IMAGE=...         the demo app, where that cluster can pull it (see app/Dockerfile)
#     PROMETHEUS_ADDRESS=... a Prometheus that scrapes the demo's pods, reachable from this machine
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

demo=examples/demo
cluster=tests/cluster/cluster
name=serin-demo
namespace=serin-demo
mine=app.kubernetes.io/part-of=serin-demo
work=${TMPDIR:-/tmp}
work=${work%/}/serin-demo-$UID
target=${CARGO_TARGET_DIR:-target}
theirs=${KUBECONFIG:-}
enter=()

say() { printf '%s\n' "demo: $*"; }
die() { printf '%s\n' "demo: $*" >&2; exit 1; }

# --- the controller: a plain process, known by its id and its start time

start_time() {
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  set -- ${stat##*) }
  [[ $1 != Z ]] && echo "${20}"
}

controller_lives() {
  local pid start
  read -r pid start 2>/dev/null <"$work/controller.pid" || return 1
  [[ $(start_time "$pid") == "$start" ]] && echo "$pid"
}

start_controller() { # start_controller PROMETHEUS FLAG...
  local prometheus=$1 until=$((SECONDS + 30)) pid
  shift
  # With KEEP=1 it outlives this shell and its terminal, and must not hold the lock.
  ARGO_ROLLOUTS_PROMETHEUS_ADDRESS=$prometheus POD_NAMESPACE=$namespace \
    setsid "${enter[@]}" "$target/debug/serin" controller --healthzPort "$healthz" --metricsPort "$metrics" "$@" \
    </dev/null >"$work/controller.log" 2>&1 9>&- &
  pid=$!
  disown
  echo "$pid $(start_time "$pid")" >"$work/controller.pid"
  until "${enter[@]}" curl -sf --noproxy '*' --max-time 2 -o "$work/healthz" "http://127.0.0.1:$healthz/healthz"; do
    if ! controller_lives >/dev/null || [[ $SECONDS -ge $until ]]; then
      tail -n 30 "$work/controller.log" >&2
      die "the controller did not become healthy; its log is above"
    fi
    sleep 0.2
  done
}

stop_controller() {
  local pid until=$((SECONDS + 10)) signal=TERM
  while pid=$(controller_lives); do
    [[ $SECONDS -lt $until ]] || signal=KILL
    [[ -z $signal ]] || kill -s "$signal" "$pid" 2>/dev/null || true
    [[ $signal == KILL ]] || signal=
    sleep 0.1
  done
  rm -f "$work/controller.pid"
}

# --- the two worlds

check_local() {
  [[ $UID == 0 ]] || die "a cluster of its own needs root: the demo makes a network namespace and runs containers.
demo: Run it as root, or give it a cluster with KUBECONFIG."
}

up_local() {
  local exports
  tests/cluster/build.sh node prometheus
  say "starting the cluster"
  exports=$($cluster up node $name)
  eval "$exports"
  enter=(nsenter "--net=$SERIN_NETNS")
  kubectl=("${enter[@]}" "$SERIN_KUBECTL")
  healthz=8080 metrics=8090
  tests/cluster/mkimage.sh demo-app:demo "$work/demo-app" >"$work/demo-app.tar"
  $cluster image $name "$work/demo-app.tar"
  prometheus=$($cluster prometheus $name tests/cluster/prometheus-node.yml)
}

check_theirs() {
  command -v kubectl >/dev/null || die "with KUBECONFIG the demo needs kubectl"
  command -v curl >/dev/null || die "with KUBECONFIG the demo needs curl"
  [[ -n ${DEMO_IMAGE:-} ]] || die "with KUBECONFIG the demo needs DEMO_IMAGE: the name of the demo app's image in a
demo: registry that the cluster can pull from. Make it by
demo:   docker build -t REGISTRY/demo-app $demo/app && docker push REGISTRY/demo-app"
  [[ -n ${PROMETHEUS_ADDRESS:-} ]] || die "with KUBECONFIG the demo needs PROMETHEUS_ADDRESS: a Prometheus that scrapes the pods of
demo: the namespace $namespace (annotations prometheus.io/scrape and prometheus.io/port), at best every second or
demo: two, under an address that this machine reaches, such as that of a kubectl port-forward"
}

up_theirs() {
  kubectl=(kubectl)
  prometheus=$PROMETHEUS_ADDRESS
  # Not the usual ports: on a user's own machine these are often taken.
  healthz=18080 metrics=18090
  say "using the cluster of $KUBECONFIG, namespace $namespace"
  if "${kubectl[@]}" get namespace $namespace >/dev/null 2>&1; then
    own_namespace || die "the namespace $namespace is there and not the demo's; it stays as it is"
    say "removing what an earlier demo left"
    "${kubectl[@]}" delete namespace $namespace --wait
  fi
}

own_namespace() { [[ -n $("${kubectl[@]}" get namespace -l $mine -o name --field-selector metadata.name=$namespace) ]]; }

# Creates the CRDs that are missing; those of a user's cluster stay as they are, for somebody else's
# controller may live by them.
install_crds() {
  "$target/debug/serin" crds >"$work/crds.yaml"
  if ! "${kubectl[@]}" create -f "$work/crds.yaml" >"$work/crds.log" 2>"$work/crds.err" &&
    grep -v AlreadyExists "$work/crds.err" >&2; then
    die "the CRDs were not created"
  fi
  "${kubectl[@]}" wait --for=condition=Established --timeout=30s -f "$work/crds.yaml" >"$work/crds-wait.log"
  if [[ -n $theirs && -s $work/crds.log ]]; then
    say "these stay when the demo goes:"
    cat "$work/crds.log"
  fi
}

# Takes all that can be taken, even where one part fails.
down() {
  local failed=0
  stop_controller
  if [[ -z $theirs ]]; then
    $cluster down $name || failed=1
  elif [[ -n ${kubectl:-} ]] && own_namespace; then
    "${kubectl[@]}" delete namespace $namespace --wait --timeout=120s || failed=1
  fi
  rm -rf "$work"
  return $failed
}

finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  [[ $status == 0 ]] || cp "$work/controller.log" "$work-controller.log" 2>/dev/null || true
  if [[ -n ${KEEP:-} && ${KEEP:-} != 0 ]]; then
    say "kept running. Controller log: $work/controller.log"
    [[ -n $theirs ]] || say "look:      $cluster kubectl $name -n $namespace get rollouts,analysisruns,pods"
    say "take away: make demo-down"
  else
    say "taking everything away"
    down || status=1
  fi
  [[ $status == 0 || ! -e $work-controller.log ]] || say "the controller's log is kept at $work-controller.log"
  say "whole time: $SECONDS s"
  exit "$status"
}

mkdir -p -m 700 "$work"
exec 9>"$work.lock"
flock -n 9 || die "a demo is running already"

if [[ ${1:-} == down ]]; then
  if [[ -n $theirs ]]; then kubectl=(kubectl); fi
  down
  exit
fi
[[ $# == 0 ]] || die "usage: run.sh [down]"

for tool in cargo go; do
  command -v $tool >/dev/null || die "$tool is not installed"
done
if [[ -n $theirs ]]; then check_theirs; else check_local; fi
rm -f "$work-controller.log"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "building (the first time takes some minutes)"
cargo build --locked --bin serin --example demo
(cd $demo/app && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/demo-app" .)

# What an earlier demo left would be part of what is seen now.
stop_controller
flags=() view=()
if [[ -n $theirs ]]; then
  up_theirs
  # Its own objects and no others: another controller in that cluster is not disturbed, and does not disturb.
  flags=(--namespaced --instance-id serin-demo)
  view=(--instance-id serin-demo --image "$DEMO_IMAGE")
else
  $cluster down $name
  up_local
fi
install_crds
"${kubectl[@]}" apply -f $demo/namespace.yaml >/dev/null
say "starting the controller"
start_controller "$prometheus" "${flags[@]}"
COLUMNS=$(tput cols 2>/dev/null || echo 80) \
  "${enter[@]}" "$target/debug/examples/demo" --manifests $demo --prometheus "$prometheus" \
  --controller-log "$work/controller.log" "${view[@]}"
