# shellcheck shell=bash
# What the scripts of tests share. To be sourced, at the root of the repository.

# make_venv NAME FOLDER: a virtual environment with what FOLDER/requirements.txt names, from PyPI, in target/NAME-venv.
# Sets venv.
make_venv() {
    venv=$PWD/target/$1-venv
    if cmp -s "$2/requirements.txt" "$venv/requirements.txt"; then return; fi
    rm -rf "$venv"
    mkdir -p target
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$2/requirements.txt"
    # Last: one that was not finished is made again.
    cp "$2/requirements.txt" "$venv/"
}

# start_server BINARY: a server that starts with nothing, thrown away when the script ends. Sets data (a folder), and exports
# HOST and TOKEN; the server's log is in $data/log.
start_server() {
    # Under /tmp and open to others: as root, PostgreSQL runs as somebody else, who has to get there.
    data=$(TMPDIR=/tmp mktemp -d)
    chmod 755 "$data"
    "$1" serve --data-dir "$data/data" --listen 127.0.0.1:0 >"$data/announced" 2>"$data/log" &
    server=$!
    trap 'kill "$server" 2>/dev/null; wait "$server" || true; rm -rf "$data"' EXIT
    for _ in $(seq 300); do
        grep -q '^listening on ' "$data/announced" && break
        kill -0 "$server" 2>/dev/null || { cat "$data/log" >&2; exit 1; }
        sleep 0.1
    done
    HOST=$(sed -n 's/^listening on \([^ ]*\) .*/\1/p' "$data/announced")
    TOKEN=$(sed -n 's/^owner key: //p' "$data/announced")
    export HOST TOKEN
}
