#!/bin/sh
# Makes the secrets of compose.yaml in a folder, once: a password that nobody chose and nobody has to know.
#
#   secrets.sh FOLDER
#
#   postgres_password   for the database, at its first start
#   database_url        the same, as muster takes it
#   fingerprint_key     muster recognises requests that are sent again by it
#
# Each can be read by the one user who needs it. What is there stays: the database has been made with it.
set -eu
umask 077
folder=$1
postgres=${POSTGRES_UID:-999} muster=${MUSTER_UID:-65532} host=${POSTGRES_HOST:-database}

[ -s "$folder/fingerprint_key" ] && exit 0
random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
keep() { # keep NAME USER: what comes in, under this name, when it is whole
    cat >"$folder/.$1"
    # As somebody else it is one user's anyway.
    if [ "$(id -u)" -eq 0 ]; then chown "$2:$2" "$folder/.$1"; fi
    chmod 400 "$folder/.$1"
    mv "$folder/.$1" "$folder/$1"
}

password=$(random)
printf '%s' "$password" | keep postgres_password "$postgres"
printf 'postgres://muster:%s@%s/muster' "$password" "$host" | keep database_url "$muster"
# The last one: it says that the others are there.
random | keep fingerprint_key "$muster"
chmod 711 "$folder"
