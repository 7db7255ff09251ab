#!/usr/bin/env bash
# Builds what the test clusters consist of, once, into ${SERIN_CACHE:-~/.cache/serin}, and installs the
# Debian packages that are missing.   build.sh [fake|node|httpd|prometheus|helm|argocd|plugin|all]...
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/parts.sh"

parts=() packages=()

# need COMMAND PACKAGE
need() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || packages+=("$2"); }

need_for() {
  case $1 in
  fake)
    parts+=(kube kwok)
    need openssl openssl; need jq jq; need curl curl; need flock util-linux
    ;;
  node)
    parts+=(kube pause)
    need openssl openssl; need jq jq; need curl curl; need flock util-linux
    need containerd containerd; need runc runc; need ctr containerd; need iptables iptables
    need conntrack conntrack; need ip iproute2; need nsenter util-linux; need mount mount
    [[ -x /usr/lib/cni/bridge || -x /opt/cni/bin/bridge ]] || packages+=(containernetworking-plugins)
    ;;
  httpd) parts+=(httpd) ;;
  prometheus) parts+=(prometheus) ;;
  helm) parts+=(helm) ;;
  argocd) parts+=(argocd) ;;
  plugin) parts+=(plugin) ;;
  all)
    need_for fake; need_for node; need_for httpd; need_for prometheus; need_for helm; need_for argocd; need_for plugin
    ;;
  *) say "usage: build.sh [fake|node|httpd|prometheus|helm|argocd|plugin|all]..."; exit 2 ;;
  esac
}

install_packages() {
  if [[ $UID != 0 ]] || ! command -v apt-get >/dev/null; then
    say "missing; install these packages first: ${packages[*]}"
    exit 1
  fi
  say "installing: ${packages[*]}"
  (
    # Debian starts the services of what it installs, unless this says no.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap 'rm -f $policy' EXIT
      printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update && apt-get -q install -y --no-install-recommends "${packages[@]}"
  ) >"$cache/apt.log" 2>&1 </dev/null || { tail -n 20 "$cache/apt.log" >&2; say "installing ${packages[*]} failed"; exit 1; }
}

build_part() {
  local part=$1 dir tmp link
  dir=$(part_dir "$part")
  [[ -d $dir ]] && return
  say "building $part into $dir"
  tmp=$(mktemp -d "$cache/.building-$part-XXXXXX")
  # A program has the last word of its package as its name.
  # shellcheck disable=SC2046 # several packages
  (cd "$here/$part" && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false \
    -tags "$(part_tags "$part")" -ldflags "$(part_ldflags "$part")" -o "$tmp/" $(part_packages "$part")) >&2 || {
    rm -rf "$tmp"
    say "building $part failed"
    exit 1
  }
  if [[ $part == kube ]]; then
    for link in $kube_programs; do ln -s kube "$tmp/$link"; done
  fi
  chmod 755 "$tmp"
  mv -T "$tmp" "$dir"
}

# bin/ has every program by its plain name, for people; the scripts use the folders named by hash.
link_part() {
  local file tmp
  for file in "$(part_dir "$1")"/*; do
    [[ $(readlink "$cache/bin/${file##*/}") == "$file" ]] && continue
    tmp=$cache/bin/.${file##*/}.$$
    ln -s "$file" "$tmp" && mv -fT "$tmp" "$cache/bin/${file##*/}"
  done
}

mkdir -p "$cache/bin"
[[ $# -gt 0 ]] || set -- all
for what in "$@"; do need_for "$what"; done
if [[ ${#packages[@]} -gt 0 ]]; then
  exec {lock}>"$cache/.packages.lock"
  flock "$lock"
  packages=() parts=()
  for what in "$@"; do need_for "$what"; done
  [[ ${#packages[@]} -eq 0 ]] || install_packages
  exec {lock}>&-
fi
for part in $(printf '%s\n' "${parts[@]}" | sort -u); do
  exec {lock}>"$cache/.$part.lock"
  flock "$lock"
  build_part "$part"
  link_part "$part"
  exec {lock}>&-
done
