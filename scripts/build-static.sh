#!/bin/sh
# Builds muster for the image: optimised, and linked statically to glibc. Copies the program to a path, if one is given.
#
#   scripts/build-static.sh [PATH]
#
# With a target named, the flags are for the program only: build scripts and macros, which run here, stay dynamic.
set -eu
target=$(rustc --print host-tuple)
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
cargo build --release --locked --bin muster --target "$target"
if [ -n "${1:-}" ]; then
    mkdir -p "$(dirname "$1")"
    cp "${CARGO_TARGET_DIR:-target}/$target/release/muster" "$1"
fi
