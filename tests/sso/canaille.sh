# shellcheck shell=bash disable=SC2154
# Canaille, sourced by run.sh: a provider whose issuer ends in a slash, with a fraction in `auth_time`, keys of other types next to the
# one that signs, and no `email_verified`.
port=$(free_port)
# Its database is in the current directory.
can() { (cd "$data" && exec "$canaille/bin/canaille" "$@"); }
export CONFIG=$data/canaille.toml
jwk=$(can jwk create rsa 2>/dev/null |
    python3 -c 'import json, sys; print(", ".join(f"{k} = {json.dumps(v)}" for k, v in json.load(sys.stdin).items()))')
cat >"$CONFIG" <<TOML
SECRET_KEY = "test-only"
[CANAILLE]
DATABASE = "sql"
[CANAILLE_OIDC]
ACTIVE_JWKS = [{ $jwk }]
TOML
redirect=$HOST/sso/default/canaille/callback
# Its library does not decode the secret, as RFC 6749, section 2.3.1, requires.
secret=s3cret-of-letters-and-digits-0123456789
printf '%s\n' "$secret" >"$data/secret"
{
    can db upgrade
    can create user --user-name dan --password 'correct horse battery' --emails dan@example.com \
        --given-name Dan --family-name Doe --formatted-name 'Dan Doe'
    can create client --client-id muster --client-secret "$secret" --client-name muster \
        --client-uri "$HOST" --redirect-uris "$redirect" --grant-types authorization_code --response-types code \
        --token-endpoint-auth-method client_secret_basic --scope openid --scope email --scope profile
    # Else the audience of its tokens is empty.
    client=$(can get client --client-id muster | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')
    can set client "$client" --audience "$client"
} >"$data/canaille.setup" 2>&1 || { cat "$data/canaille.setup" >&2; exit 1; }
canaille_issuer() {
    can run --bind "127.0.0.1:$port" &
    for _ in $(seq 300); do
        if issuer=$(curl -sf "http://127.0.0.1:$port/.well-known/openid-configuration"); then break; fi
        sleep 0.1
    done
    python3 -c 'import json, sys; print(json.loads(sys.argv[1])["issuer"])' "$issuer"
    wait
}
options=(--trust-addresses)
provider canaille canaille_issuer
sign_in canaille dan 'correct horse battery' dan@example.com
