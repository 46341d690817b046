#!/usr/bin/env bash
# What muster is built from: `deny` checks advisories, licences, bans and sources of all crates (deny.toml);
# `workflows` lints .github/workflows; `sbom` writes a CycloneDX list of all crates to target/sbom/.
#
# Where the advisory database can't be had, `deny` says so and checks the rest; with ADVISORIES=required it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=target/tools

# cargo-deny and zizmor, as their makers built them, held to their hashes; where there is no such build, from source.
install_checkers() {
    local stamp=$tools/checkers/requirements.txt
    cmp -s scripts/tools.requirements.txt "$stamp" && return
    rm -rf "$tools/checkers"
    python3 -m venv "$tools/checkers"
    if ! "$tools/checkers/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
        -r scripts/tools.requirements.txt; then
        cargo install --quiet --locked --root "$tools/checkers" cargo-deny@0.20.2 zizmor@1.32.0
    fi
    cp scripts/tools.requirements.txt "$stamp"
}

check_crates() {
    install_checkers
    local deny=("$tools/checkers/bin/cargo-deny" --workspace --locked)
    "${deny[@]}" check --hide-inclusion-graph bans licenses sources
    local said
    # A network that swallows everything is no reason to wait for ever.
    export GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=30
    if said=$("${deny[@]}" fetch db 2>&1); then
        "${deny[@]}" --offline check --hide-inclusion-graph advisories
    elif [ "${ADVISORIES:-}" = required ]; then
        printf '%s\n' "$said" "the advisory database can't be had" >&2
        exit 1
    else
        printf '%s\n' "$said" >&2
        printf '\n!! ADVISORIES WERE NOT CHECKED: the advisory database can not be had from here (above).\n' >&2
        printf '!! Whether a crate has a known hole is not known. Licences, bans and sources are fine.\n\n' >&2
    fi
}

lint_workflows() {
    install_checkers
    "$tools/checkers/bin/zizmor" --offline --strict-collection --pedantic --quiet .github
}

write_sbom() {
    if ! "$tools/bin/cargo-cyclonedx" --version 2>/dev/null | grep -qF 0.5.9; then
        cargo install --quiet --locked --root "$tools" cargo-cyclonedx@0.5.9
    fi
    # It writes beside each Cargo.toml.
    PATH="$PWD/$tools/bin:$PATH" cargo cyclonedx --format json --spec-version 1.5 --target all
    mkdir -p target/sbom
    mv muster.cdx.json crates/muster-client/muster-client.cdx.json target/sbom/
    ls -1 target/sbom/*.cdx.json
}

case "${1:-}" in
    deny) check_crates ;;
    workflows) lint_workflows ;;
    sbom) write_sbom ;;
    *) echo "usage: $0 deny|workflows|sbom" >&2; exit 2 ;;
esac
