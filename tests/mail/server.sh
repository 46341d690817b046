#!/usr/bin/env bash
# Installs aiosmtpd from PyPI into a virtual environment under target/ and prints the path of its Python.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
make_venv mail tests/mail >&2
echo "$venv/bin/python"
