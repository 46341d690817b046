#!/usr/bin/env bash
# Installs the OpenTelemetry collector rotel from PyPI into a virtual environment under target/ and prints its path.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
make_venv collector tests/observability >&2
program=$(echo "$venv"/lib/python3*/site-packages/rotel/rotel-agent)
chmod +x "$program"
echo "$program"
