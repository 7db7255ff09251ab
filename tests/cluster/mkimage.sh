#!/usr/bin/env bash
# A container image of one binary, as a docker-archive on standard output:
#   mkimage.sh NAME:TAG BINARY [ARGS...] >image.tar
# The binary becomes the entrypoint, ARGS its default arguments. It runs as the user IMAGE_USER (65532:65532).
# A dynamically linked binary takes the libraries along that it needs. The same input gives the same bytes.
set -euo pipefail

[[ $# -ge 2 && -x $2 && ! -d $2 ]] || { echo "usage: mkimage.sh NAME:TAG BINARY [ARGS...] >image.tar" >&2; exit 2; }
name=$1 binary=$2
shift 2
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/layer/tmp" "$work/image"
install -D -m 755 "$binary" "$work/layer/usr/bin/${binary##*/}"
if libraries=$(ldd "$binary" 2>/dev/null); then
  while read -r file; do
    install -D -m 755 "$(readlink -f "$file")" "$work/layer$file"
  done < <(grep -oE '/[^ ]+' <<<"$libraries" | sort -u)
fi
if [[ -r /etc/ssl/certs/ca-certificates.crt && -n ${IMAGE_CERTIFICATES:-} ]]; then
  install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$work/layer/etc/ssl/certs/ca-certificates.crt"
fi
chmod -R u=rwX,go=rX "$work/layer"
chmod 1777 "$work/layer/tmp"

pack() { # pack FILE FOLDER ENTRIES...
  local file=$1 folder=$2
  shift 2
  tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$folder" -cf "$file" "$@"
}

pack "$work/image/layer.tar" "$work/layer" .
layer=$(sha256sum <"$work/image/layer.tar")
jq -ncS --arg arch "$arch" --arg layer "sha256:${layer%% *}" --arg user "${IMAGE_USER:-65532:65532}" \
  --arg binary "/usr/bin/${binary##*/}" '{
    architecture: $arch, os: "linux", created: "1970-01-01T00:00:00Z",
    config: {User: $user, Entrypoint: [$binary], Cmd: $ARGS.positional, Env: ["PATH=/usr/bin:/bin"], WorkingDir: "/"},
    rootfs: {type: "layers", diff_ids: [$layer]},
    history: [{created: "1970-01-01T00:00:00Z", created_by: "mkimage.sh"}]
  }' --args -- "$@" >"$work/image/config.json"
jq -nc --arg name "$name" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' >"$work/image/manifest.json"
pack - "$work/image" manifest.json config.json layer.tar
