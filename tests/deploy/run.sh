#!/usr/bin/env bash
# Checks the deployment files with the programs that read them in production, installed from PyPI into a virtual
# environment under target/.
#
#   tests/deploy/run.sh [path to the muster binary]
set -euo pipefail
cd "$(dirname "$0")/../.."
muster=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/muster}")
work=$(TMPDIR=/tmp mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { printf '   %s\n' "$1"; }

# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
make_venv deploy tests/deploy
PATH=$venv/bin:$PATH

step 'Dockerfile, by hadolint'
hadolint Dockerfile
step 'compose.yaml, by Docker Compose and compose-lint'
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" tests/deploy/compose.py "$muster" 2>"$work/output" || { cat "$work/output" >&2; exit 1; }
compose-lint --quiet compose.yaml >"$work/output" || { cat "$work/output" >&2; exit 1; }
step 'scripts, by ShellCheck'
shellcheck --external-sources --severity=warning .ci/run scripts/*.sh deploy/*/*.sh tests/*/run.sh tests/support/*.sh tests/deploy/*.sh

step 'muster.service, by systemd'
# Point ExecStart at a binary that exists, and drop the manual page, which may not.
sed -e "s|^ExecStart=/usr/local/bin/muster|ExecStart=$muster|" -e '/^Documentation=/d' deploy/systemd/muster.service \
    >"$work/muster.service"
systemd-analyze verify --recursive-errors=no "$work/muster.service" 2>"$work/output" || { cat "$work/output" >&2; exit 1; }
if grep muster.service "$work/output" >&2; then exit 1; fi
# Exposure from 0 to 100, lower is better; up to 20, systemd calls it "OK".
systemd-analyze security --offline=true --threshold=15 "$work/muster.service" >"$work/exposed" || { cat "$work/exposed" >&2; exit 1; }

step 'the Helm chart, by Helm and the schemas of Kubernetes'
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" tests/deploy/chart.py "$muster" 2>"$work/output" || { cat "$work/output" >&2; exit 1; }
