#!/usr/bin/env bash
# Looks at the pages with Chromium (from the system's packages) and programs from npm, installed into target/: accessibility
# (axe), HTML (html-validate), and whether everything fits, from 320 pixels to a desktop, light and dark.
#
#   tests/pages/run.sh                                       checks the previews that `cargo test previews` has written, and walks
#                                                            through the pages of a temporary server, and of one behind nginx
#   PICTURES=docs/images tests/pages/run.sh                  also renews the pictures of the documentation
#   SHOTS=target/shots tests/pages/run.sh sign-in account    takes pictures of the pages whose names begin so
set -euo pipefail
cd "$(dirname "$0")/../.."
export MODULES=$PWD/target/pages-node
if ! cmp -s tests/pages/package.json "$MODULES/package.json"; then
    rm -rf "$MODULES"
    mkdir -p "$MODULES"
    mapfile -t packages < <(sed -n 's/^ *"\([a-z-]*\)": "\([0-9.]*\)",*$/\1@\2/p' tests/pages/package.json)
    npm install --prefix "$MODULES" --no-package-lock --no-save --no-audit --no-fund --loglevel=error "${packages[@]}" >/dev/null
    # Last, so that an incomplete installation is done again.
    cp tests/pages/package.json "$MODULES/package.json"
fi
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM
node tests/pages/previews.mjs target/pages "$@"
if [ -n "${SHOTS:-}" ] || [ $# -gt 0 ]; then exit; fi
# shellcheck source=tests/support/lib.sh
. tests/support/lib.sh
binary=${CARGO_TARGET_DIR:-target}/debug/muster
(
    export MUSTER_SSO__OWNERS_MAY_CONFIGURE=true
    start_server "$binary"
    node tests/pages/live.mjs
    node tests/pages/console.mjs
    node tests/pages/import.mjs
)

# Behind nginx with TLS, at the root and under a path.
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT MUSTER_SERVER__PUBLIC_URL="https://muster.example.org:$PORT" MUSTER_SERVER__TRUSTED_PROXIES='["127.0.0.1"]'
start_server "$binary"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=muster.example.org \
    -keyout "$data/key.pem" -out "$data/certificate.pem" 2>/dev/null
tls=("ssl_certificate $data/certificate.pem;" "ssl_certificate_key $data/key.pem;")
headers=('proxy_set_header Host $http_host;' 'proxy_set_header X-Forwarded-For $remote_addr;'
    'proxy_set_header X-Forwarded-Proto $scheme;')
cat >"$data/nginx.conf" <<EOF
pid $data/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path $data/body;
    proxy_temp_path $data/proxy;
    ${tls[*]}
    ${headers[*]}
    server {
        listen 127.0.0.1:$PORT ssl;
        server_name muster.example.org;
        location / { proxy_pass $HOST; }
    }
    server {
        listen 127.0.0.1:$PORT ssl;
        server_name tools.example.org;
        location /muster/ { proxy_pass $HOST/; }
    }
}
EOF
PATH=$PATH:/usr/sbin nginx -c "$data/nginx.conf" -e "$data/nginx.log" -g 'daemon off;' &
nginx=$!
trap 'kill "$nginx" "$server" 2>/dev/null; wait; rm -rf "$data"' EXIT
until [ -s "$data/nginx.pid" ]; do
    kill -0 "$nginx" 2>/dev/null || { cat "$data/nginx.log" >&2; exit 1; }
    sleep 0.1
done
node tests/pages/tls.mjs
