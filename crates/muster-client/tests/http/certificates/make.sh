#!/usr/bin/env bash
# Recreates the certificates of the TLS tests, valid for a hundred years: two authorities, and a server certificate for
# `localhost` from the first one. Only the key of the server is kept.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 36500 -subj "/CN=$2" \
        -addext keyUsage=critical,keyCertSign -keyout "$work/$1.key" -out "$1.pem"
}
authority authority "muster test authority"
authority other-authority "another test authority"

openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=localhost" \
    -keyout "$work/server.key" -out "$work/server.csr"
openssl x509 -req -in "$work/server.csr" -CA authority.pem -CAkey "$work/authority.key" -days 36500 \
    -extfile <(printf 'subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n') \
    -outform DER -out server.der
openssl pkcs8 -topk8 -nocrypt -in "$work/server.key" -outform DER -out server-key.der
chmod 644 server-key.der
