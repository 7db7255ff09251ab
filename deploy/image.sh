#!/usr/bin/env bash
# The image of the Containerfile as a file, without a container engine: `make image`.   image.sh FILE.tar [NAME:TAG]
#
# Needs Rust with the target for musl (rustup target add), and Debian's musl-tools. `podman load -i FILE.tar`,
# `docker load -i FILE.tar` and `ctr image import FILE.tar` take it.
set -euo pipefail
to=$(readlink -f "$1")
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
name=${2:-serin:$version}
triple=$(uname -m)-unknown-linux-musl

cargo build --locked --release --bin serin --target "$triple"
IMAGE_CERTIFICATES=1 tests/cluster/mkimage.sh "$name" "${CARGO_TARGET_DIR:-target}/$triple/release/serin" >"$to"
size=$(($(stat -c %s "$to") / 1000000))
printf '%s: %s, %s MB\n' "$to" "$name" "$size"
# A promise to whoever pulls it on every node.
[[ $size -lt 40 ]] || { echo "larger than 40 MB" >&2; exit 1; }
