#!/usr/bin/env bash
# Checks that need programs other than cargo:
#
#   deny       advisories, licenses, bans and sources of all crates (deny.toml)
#   workflows  lints .github
#   sbom       writes a CycloneDX list of all crates to target/sbom/
#   words      checks spelling and words (_typos.toml)
#
# If the advisory database is unreachable, `deny` warns and runs the other checks; with ADVISORIES=required it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=target/tools

# Installs the maintainers' builds from PyPI, pinned by hash; platforms without such a build compile from source.
install_checkers() {
    local stamp=$tools/checkers/requirements.txt
    cmp -s scripts/tools.requirements.txt "$stamp" && return
    rm -rf "$tools/checkers"
    python3 -m venv "$tools/checkers"
    if ! "$tools/checkers/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
        -r scripts/tools.requirements.txt; then
        cargo install --quiet --locked --root "$tools/checkers" cargo-deny@0.20.2 typos-cli@1.52.0 zizmor@1.32.0
    fi
    cp scripts/tools.requirements.txt "$stamp"
}

check_crates() {
    install_checkers
    local deny=("$tools/checkers/bin/cargo-deny" --workspace --locked)
    "${deny[@]}" check --hide-inclusion-graph bans licenses sources
    local said
    # Without these limits, git waits forever on a network that drops packets.
    export GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=30
    if said=$("${deny[@]}" fetch db 2>&1); then
        "${deny[@]}" --offline check --hide-inclusion-graph advisories
    elif [ "${ADVISORIES:-}" = required ]; then
        printf '%s\n' "$said" "error: the advisory database is unreachable" >&2
        exit 1
    else
        printf '%s\n' "$said" >&2
        printf '\nwarning: ADVISORIES NOT CHECKED: the advisory database is unreachable (see above)\n' >&2
        printf 'Licenses, bans and sources passed; known vulnerabilities were not looked up.\n\n' >&2
    fi
}

lint_workflows() {
    install_checkers
    "$tools/checkers/bin/zizmor" --offline --strict-collection --pedantic --quiet .github
}

check_words() {
    install_checkers
    local status=0
    "$tools/checkers/bin/typos" --format brief || status=1
    # typos knows single words only.
    local phrases='at work|goes on|opens? nothing|private (cluster|PostgreSQL)|signs? of life|takes? back|taken back'
    if git grep -nwiE "$phrases" -- . ':!migrations/2*' ':!docs/contributing/style.md' ':!scripts/supply-chain.sh'; then
        echo "error: phrases to avoid (above); see docs/contributing/style.md" >&2
        status=1
    fi
    return $status
}

write_sbom() {
    if ! "$tools/bin/cargo-cyclonedx" --version 2>/dev/null | grep -qF 0.5.9; then
        cargo install --quiet --locked --root "$tools" cargo-cyclonedx@0.5.9
    fi
    # cargo-cyclonedx writes its output beside each Cargo.toml.
    PATH="$PWD/$tools/bin:$PATH" cargo cyclonedx --format json --spec-version 1.5 --target all
    mkdir -p target/sbom
    mv muster.cdx.json crates/muster-client/muster-client.cdx.json target/sbom/
    ls -1 target/sbom/*.cdx.json
}

case "${1:-}" in
    deny) check_crates ;;
    workflows) lint_workflows ;;
    sbom) write_sbom ;;
    words) check_words ;;
    *) echo "usage: $0 deny|workflows|sbom|words" >&2; exit 2 ;;
esac
