#!/usr/bin/env bash
# Checks the test clusters themselves: brings both flavours up twice, uses them, and looks that nothing is left.
#   selftest.sh [fake|node]...
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/parts.sh"
PATH=$PATH:/usr/sbin:/sbin

cluster=$here/cluster
work=$(mktemp -d)
flavours=("$@")
[[ $# -gt 0 ]] || flavours=(fake node)

finish() {
  status=$?
  trap - EXIT
  "$cluster" down selftest-fake selftest-node || status=1
  rm -rf "$work"
  [[ $status == 0 ]] || say "selftest failed"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

wrong() { say "WRONG: $*"; exit 1; }

timed() { # timed WHAT COMMAND...
  local what=$1 start=$EPOCHREALTIME
  shift
  "$@" >"$work/out" || wrong "$what"
  printf '%-60s %6.1f s\n' "$what" "$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {print b - a}')"
}

eventually() { # eventually SECONDS COMMAND...
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    [[ $SECONDS -lt $until ]] || wrong "not within the time: $*"
    sleep 0.2
  done
}

up() { "$cluster" up "$1" "$2"; }
kc() { "$cluster" kubectl "selftest-$flavour" "$@"; }

deployment() { # deployment NAME IMAGE [ARGS]
  cat <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: 3
  selector: {matchLabels: {app: $1}}
  template:
    metadata:
      labels: {app: $1, rollouts-pod-template-hash: abc}
      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
    spec:
      containers:
      - name: $1
        image: $2
        args: [${3:-}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
        securityContext: {runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 500m, memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: $1}
spec: {selector: {app: $1}, ports: [{port: 80, targetPort: http}]}
YAML
}

pod_is() { # pod_is NAME JQ-EXPRESSION
  kc get pod "$1" -o json | jq -e "$2" >/dev/null
}

faked_pod() { # faked_pod NAME IMAGE [ANNOTATION]
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s, annotations: {%s}}\nspec: {containers: [{name: c, image: "%s"}]}\n---\n' "$1" "${3:-}" "$2"
}

use_fake() {
  local file
  deployment web web:1 | kc apply -f - >/dev/null
  timed "fake: three faked pods become available" kc rollout status deployment/web --timeout=20s
  {
    faked_pod broken web:broken
    faked_pod never web:1 'fake.serin/never-ready: "true"'
    faked_pod crash web:1 'fake.serin/crash: "true"'
    faked_pod pull web:1 'fake.serin/image-pull: "true"'
    faked_pod slow web:1 'fake.serin/ready-delay: "4"'
  } | kc apply -f - >/dev/null
  eventually 10 pod_is broken '.status.phase == "Running" and (.status.conditions[] | select(.type == "Ready").status == "False")'
  eventually 10 pod_is never '.status.phase == "Running" and (.status.conditions[] | select(.type == "Ready").status == "False")'
  eventually 10 pod_is crash '.status.containerStatuses[0] | .state.waiting.reason == "CrashLoopBackOff" and .restartCount > 0 and .lastState.terminated.exitCode == 1'
  eventually 10 pod_is pull '.status.containerStatuses[0].state.waiting.reason == "ImagePullBackOff"'
  eventually 10 pod_is slow '.status.conditions[] | select(.type == "Ready").status == "True"'
  kc annotate pod crash fake.serin/crash- >/dev/null
  eventually 10 pod_is crash '.status.conditions[] | select(.type == "Ready").status == "True"'

  file=$("$cluster" kubeconfig selftest-fake serin testers)
  [[ $("$cache/bin/kubectl" --kubeconfig "$file" auth whoami -o json | jq -c '.status.userInfo | [.username, .groups[0]]') == '["serin","testers"]' ]] || wrong "the user of $file"
  eventually 5 grep -q '"username":"serin"' "$(sed -n "s/export SERIN_AUDIT_LOG='\(.*\)'/\1/p" "$work/env")"

  outage
}

outage() {
  "$cluster" stop-apiserver "selftest-$flavour"
  ! kc get nodes --request-timeout=2s >/dev/null 2>&1 || wrong "a stopped API server answers"
  timed "$flavour: the API server comes back" "$cluster" start-apiserver "selftest-$flavour"
  "$cluster" restart-apiserver "selftest-$flavour"
  kc scale deployment/web --replicas=5 >/dev/null
  timed "$flavour: two more pods after its restart" kc rollout status deployment/web --timeout=60s
  [[ -z $(kc get pods -l app=web -o jsonpath='{range .items[*]}{.status.podIP}{"\n"}{end}' | sort | uniq -d) ]] || wrong "two pods with one address"
}

all_answer() { # the pods of web, through the Service
  local i
  for i in {1..40}; do "$cluster" exec selftest-node curl -sf --max-time 2 "http://$1/"; done | sort -u >"$work/answers"
  [[ $(wc -l <"$work/answers") -eq 3 ]] && ! grep -qv '^selftest ' "$work/answers"
}

scraped() {
  "$cluster" exec selftest-node curl -sfg "$1/api/v1/query?query=count(http_requests_total{namespace=\"default\",app=\"web\",pod_template_hash=\"abc\",code=\"200\"})" |
    jq -e '.data.result[0].value[1] == "3"' >/dev/null
}

use_node() {
  local ip url
  "$here/build.sh" httpd
  "$here/mkimage.sh" httpd:selftest "$cache/bin/httpd" >"$work/httpd.tar"
  "$here/mkimage.sh" curl:selftest "$(command -v curl)" >"$work/curl.tar"
  timed "node: image imported" "$cluster" image selftest-node "$work/httpd.tar"
  "$cluster" image selftest-node "$work/curl.tar"
  deployment web httpd:selftest -version=selftest | kc apply -f - >/dev/null
  timed "node: three real pods become available" kc rollout status deployment/web --timeout=60s
  ip=$(kc get service web -o jsonpath='{.spec.clusterIP}')
  eventually 10 all_answer "$ip"
  [[ $(kc logs deployment/web 2>&1) == *listens* ]] || wrong "no log of a pod"
  [[ $(kc exec deployment/web -- /usr/bin/httpd -h 2>&1) == *"listen on"* ]] || wrong "no exec in a pod"
  # A pod reaches the API server by its Service, and other pods by theirs.
  # shellcheck disable=SC2016
  kc run inside --image=curl:selftest --restart=Never --command -- curl -skf "https://198.18.0.1/version" "http://$ip/" >/dev/null
  eventually 20 pod_is inside '.status.phase == "Succeeded"'
  url=$("$cluster" prometheus selftest-node "$here/prometheus-node.yml")
  eventually 15 scraped "$url"
  "$cluster" prometheus-stop selftest-node
  [[ $("$cluster" prometheus selftest-node "$here/prometheus-node.yml") == "$url" ]] || wrong "another address of Prometheus"
  outage
}

# What a cluster has, to be looked for once it is down.
leavings() { # leavings NAME FOLDER
  local pid
  for pid in /proc/[0-9]*; do
    if tr '\0' ' ' 2>/dev/null <"$pid/cmdline" | grep -qE "$2/|/usr/bin/httpd -version=selftest"; then
      echo "process ${pid#/proc/}: $(tr '\0' ' ' 2>/dev/null <"$pid/cmdline")"
    fi
  done
  grep -F "$2" /proc/self/mountinfo || true
  [[ ! -e /run/netns/serin-$1 ]] || echo "netns serin-$1"
  [[ ! -e $2 ]] || echo "folder $2"
  find /sys/fs/cgroup -path "*/k8s.io/*" -type d 2>/dev/null | grep -Ff "$work/containers" || true
  [[ $1 == *-node ]] || ss -Hltn | awk '{print $4}' | grep -E ":($(paste -sd'|' "$work/ports"))\$" || true
}

for round in 1 2; do
  for flavour in "${flavours[@]}"; do
    name=selftest-$flavour
    "$cluster" down "$name"
    "$here/build.sh" "$flavour" prometheus
    timed "$flavour: up, round $round" up "$flavour" "$name"
    timed "$flavour: up again" up "$flavour" "$name"
    cp "$work/out" "$work/env"
    folder=$(sed -n "s/export SERIN_CLUSTER_DIR='\(.*\)'/\1/p" "$work/env")
    "use_$flavour"
    ls "$folder/containerd/state/io.containerd.runtime.v2.task/k8s.io" >"$work/containers" 2>/dev/null || true
    if [[ -e $folder/ports ]]; then cp "$folder/ports" "$work/ports"; fi
    [[ -n $(leavings "$name" "$folder") ]] || wrong "the search for leavings finds nothing in a cluster that runs"
    timed "$flavour: down" "$cluster" down "$name"
    timed "$flavour: down again" "$cluster" down "$name"
    left=$(leavings "$name" "$folder")
    [[ -z $left ]] || wrong "left behind: $left"
  done
done
echo "selftest passed"
