#!/usr/bin/env bash
# Writes the plain manifests of this folder anew from the chart: `make manifests`.   generate.sh [FOLDER]
#
# install.yaml            everything, for all namespaces, in the namespace serin
# namespace-install.yaml  for one namespace: `kubectl apply -n NAMESPACE -f`. No definitions and no roles of the cluster
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
. tests/cluster/parts.sh
to=${1:-deploy}

tests/cluster/build.sh helm
helm=$(part_dir helm)/helm

# Without what only Helm has a use for.
plain() { sed -E '/^ +(helm\.sh\/chart|app\.kubernetes\.io\/managed-by):/d; /^# Source: /d'; }

render() { "$helm" template serin charts/serin --namespace serin "$@" | plain; }

heading() { printf '# Generated from charts/serin by deploy/generate.sh; do not edit.\n# %s\n' "$@"; }

{
  heading 'kubectl apply -f install.yaml'
  cat <<'YAML'
---
apiVersion: v1
kind: Namespace
metadata:
  name: serin
  labels:
    pod-security.kubernetes.io/enforce: restricted
YAML
  render --set keepCRDs=false
} >"$to/install.yaml"

{
  heading 'kubectl apply -n NAMESPACE -f namespace-install.yaml, where crds/ is installed already'
  # Without a namespace of their own the objects go where kubectl is told to.
  render --values charts/serin/ci/namespaced-values.yaml | sed '/^ *namespace: serin$/d'
} >"$to/namespace-install.yaml"
