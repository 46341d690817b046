#!/usr/bin/env bash
# Prints where the program of a collector of OpenTelemetry is: rotel, from PyPI, in a virtual environment under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
make_venv collector tests/observability >&2
program=$(echo "$venv"/lib/python3*/site-packages/rotel/rotel-agent)
chmod +x "$program"
echo "$program"
