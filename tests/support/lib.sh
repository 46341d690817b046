# shellcheck shell=bash
# Shared by test scripts; source it from the root of the repository.

# make_venv NAME FOLDER [FILE]: creates target/NAME-venv with the packages of FOLDER/FILE (requirements.txt), and sets venv.
make_venv() {
    venv=$PWD/target/$1-venv
    local requirements=$2/${3:-requirements.txt}
    if cmp -s "$requirements" "$venv/requirements.txt"; then return; fi
    rm -rf "$venv"
    mkdir -p target
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    # Last, so that an incomplete environment is created again.
    cp "$requirements" "$venv/requirements.txt"
}

# start_server BINARY: starts a temporary server with an embedded PostgreSQL; it is deleted when the script exits. Sets data
# (a directory) and exports HOST and TOKEN. The log is in $data/log.
start_server() {
    # World-accessible: as root, muster runs PostgreSQL as another user, who must reach the directory.
    data=$(TMPDIR=/tmp mktemp -d)
    chmod 755 "$data"
    "$1" serve --data-dir "$data/data" --listen "${LISTEN:-127.0.0.1:0}" >"$data/announced" 2>"$data/log" &
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
