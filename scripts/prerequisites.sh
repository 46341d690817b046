#!/usr/bin/env bash
# Installs PostgreSQL's server programs, Python and a C compiler with the system's package manager if they are missing, or
# prints what to install. With `tests`, also the programs that only tests need: nginx, HAProxy, Prometheus, systemd, curl,
# OpenSSL, Chromium and Node.
set -euo pipefail

command -v cargo >/dev/null || { echo "error: \`cargo\` not found; install Rust from https://rustup.rs" >&2; exit 2; }

have_postgres() {
    local folder
    for folder in $(tr ':' ' ' <<<"$PATH") /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
        [ -x "$folder/initdb" ] && return 0
    done
    return 1
}

have_venv() { python3 -c 'import venv, ensurepip' 2>/dev/null; }
have_cc() { command -v cc >/dev/null; }
# Server programs live in directories that are not on the PATH of ordinary users.
have_server() { PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v "$1" >/dev/null; }
# `systemd-analyze` checks the unit file; systemd need not run.
have_systemd() { [ "$(uname)" != Linux ] || command -v systemd-analyze >/dev/null; }
have_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
have_node() { command -v node >/dev/null && command -v npm >/dev/null; }
have_prometheus() { command -v prometheus >/dev/null && command -v promtool >/dev/null; }

missing=()
have_postgres || missing+=(postgresql)
have_venv || missing+=(python3-venv)
have_cc || missing+=(cc)
if [ "${1:-}" = tests ]; then
    have_server nginx || missing+=(nginx)
    have_server haproxy || missing+=(haproxy)
    have_systemd || missing+=(systemd)
    have_prometheus || missing+=(prometheus)
    have_chromium || missing+=(chromium)
    have_node || missing+=(node)
    # A test runs the commands of the documentation.
    command -v curl >/dev/null || missing+=(curl)
    # The certificate of nginx in tests of the pages.
    command -v openssl >/dev/null || missing+=(openssl)
fi
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
    # Only passwordless sudo: a script that waits for a password looks as if it hangs.
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=sudo; fi
fi
names() { # names FOR_POSTGRES FOR_PYTHON FOR_CC FOR_PROMETHEUS FOR_NODE
    local what
    for what in "${missing[@]}"; do
        case $what in
            postgresql) printf '%s ' "$1" ;;
            python3-venv) printf '%s ' "$2" ;;
            cc) printf '%s ' "$3" ;;
            nginx | haproxy | curl | chromium | openssl) printf '%s ' "$what" ;;
            systemd) printf 'systemd ' ;;
            prometheus) printf '%s ' "$4" ;;
            node) printf '%s ' "$5" ;;
        esac
    done
}
if command -v apt-get >/dev/null; then
    packages=$(names postgresql python3-venv gcc prometheus "nodejs npm")
    install="apt-get install -y --no-install-recommends $packages"
    prepare="apt-get update -q"
elif command -v dnf >/dev/null; then
    packages=$(names postgresql-server python3 gcc golang-github-prometheus "nodejs npm")
    install="dnf install -y $packages"
    prepare=true
elif command -v brew >/dev/null; then
    packages=$(names postgresql@17 python3 gcc prometheus node)
    install="brew install $packages"
    prepare=true
    sudo=""
else
    echo "error: missing ${missing[*]}; install PostgreSQL's server programs, Python 3 with venv, a C compiler, nginx, HAProxy, Prometheus, Chromium and Node" >&2
    exit 2
fi
if [ "$(id -u)" -ne 0 ] && [ -z "$sudo" ] && ! command -v brew >/dev/null; then
    echo "error: missing ${missing[*]}; run \`sudo $install\`" >&2
    exit 2
fi
echo "installing: $packages" >&2
# muster starts its own PostgreSQL and ignores the cluster that the package creates.
export DEBIAN_FRONTEND=noninteractive
$sudo $prepare >/dev/null && $sudo $install >/dev/null
