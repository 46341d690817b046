#!/bin/sh
# Generates the random secrets of compose.yaml in FOLDER, on the first run only.
#
#   secrets.sh FOLDER
#
#   postgres_password   the database password, for PostgreSQL's first start
#   database_url        the URL with that password, for muster
#   fingerprint_key     muster recognizes retried requests with it
#
# Each file is readable only by the user who needs it. Existing files are kept: the database was created with them.
set -eu
umask 077
folder=$1
postgres=${POSTGRES_UID:-999} muster=${MUSTER_UID:-65532} host=${POSTGRES_HOST:-database}

[ -s "$folder/fingerprint_key" ] && exit 0
random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
keep() { # keep NAME USER: saves standard input atomically
    cat >"$folder/.$1"
    # Other users can't change the owner; then one user owns all files.
    if [ "$(id -u)" -eq 0 ]; then chown "$2:$2" "$folder/.$1"; fi
    chmod 400 "$folder/.$1"
    mv "$folder/.$1" "$folder/$1"
}

password=$(random)
printf '%s' "$password" | keep postgres_password "$postgres"
printf 'postgres://muster:%s@%s/muster' "$password" "$host" | keep database_url "$muster"
# Last: its existence means that the others exist.
random | keep fingerprint_key "$muster"
chmod 711 "$folder"
