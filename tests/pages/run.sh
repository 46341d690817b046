#!/usr/bin/env bash
# Looks at the pages with Chromium (from the system's packages) and programs from npm, installed into target/: accessibility
# (axe), HTML (html-validate), and whether everything fits, from 320 pixels to a desktop, light and dark.
#
#   tests/pages/run.sh                                       checks the previews that `cargo test previews` has written, and walks
#                                                            through the pages of a temporary server
#   SHOTS=target/shots tests/pages/run.sh sign-in account    takes pictures of the pages whose names begin so
set -euo pipefail
cd "$(dirname "$0")/../.."
export MODULES=$PWD/target/pages-node
if ! cmp -s tests/pages/package.json "$MODULES/package.json"; then
    rm -rf "$MODULES"
    mkdir -p "$MODULES"
    mapfile -t packages < <(sed -n 's/^ *"\([a-z-]*\)": "\([0-9.]*\)",*$/\1@\2/p' tests/pages/package.json)
    npm install --prefix "$MODULES" --no-package-lock --no-save --no-audit --no-fund --loglevel=error "${packages[@]}" >/dev/null
    # Last, so that an incomplete installation is done again.
    cp tests/pages/package.json "$MODULES/package.json"
fi
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM
node tests/pages/previews.mjs target/pages "$@"
if [ -n "${SHOTS:-}" ] || [ $# -gt 0 ]; then exit; fi
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
start_server "${CARGO_TARGET_DIR:-target}/debug/muster"
node tests/pages/live.mjs
