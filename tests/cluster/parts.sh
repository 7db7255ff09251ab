# What is built, where it is kept, and what the parts are called; sourced by build.sh and cluster.

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
cache=${SERIN_CACHE:-$HOME/.cache/serin}

kubernetes_version=v1.36.3
kube_programs="etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"

# part_packages PART: the Go packages that are built in tests/cluster/PART
part_packages() {
  case $1 in
  kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
  prometheus) echo github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool ;;
  helm) echo helm.sh/helm/v3/cmd/helm ;;
  *) echo . ;;
  esac
}

# part_tags PART: of the ways Prometheus finds its targets, only the Kubernetes one (and files) is wanted
part_tags() {
  case $1 in
  prometheus) echo remove_all_sd,enable_kubernetes_sd ;;
  esac
}

# part_ldflags PART: without its version the API server calls itself v0.0.0 and clients refuse it; Helm takes a cluster
# that it has not asked for one of long ago
part_ldflags() {
  local v=k8s.io/component-base/version minor=${kubernetes_version#v1.}
  case $1 in
  kube) echo "-s -w -X $v.gitVersion=$kubernetes_version -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*} -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes_version" ;;
  helm)
    local rules=helm.sh/helm/v3/pkg/lint/rules chart=helm.sh/helm/v3/pkg/chartutil
    echo "-s -w -X $rules.k8sVersionMajor=1 -X $rules.k8sVersionMinor=${minor%%.*} -X $chart.k8sVersionMajor=1 -X $chart.k8sVersionMinor=${minor%%.*}"
    ;;
  *) echo "-s -w" ;;
  esac
}

# part_dir PART: the folder of the built part; its name changes with everything the part is built from
part_dir() {
  local hash
  hash=$(cd "$here/$1" && {
    echo "$(part_packages "$1") $(part_tags "$1") $(part_ldflags "$1")"
    cat $(ls go.mod go.sum ./*.go 2>/dev/null)
  } | sha256sum)
  echo "$cache/$1-${hash:0:16}"
}

say() { printf '%s\n' "$*" >&2; }
