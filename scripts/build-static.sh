#!/bin/sh
# Builds the release binary for the image, linked statically against glibc, and copies it to PATH.
#
#   scripts/build-static.sh [PATH]
#
# `--target` keeps RUSTFLAGS away from build scripts and procedural macros, which must stay dynamic.
set -eu
target=$(rustc --print host-tuple)
# Relative relocations take one bit each instead of 24 bytes: the binary is 0.9 MB smaller.
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
cargo build --release --locked --bin muster --target "$target"
if [ -n "${1:-}" ]; then
    mkdir -p "$(dirname "$1")"
    cp "${CARGO_TARGET_DIR:-target}/$target/release/muster" "$1"
fi
