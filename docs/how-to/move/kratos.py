#!/usr/bin/env python3
"""Converts identities of Ory Kratos into a list for `muster user batch-create`.

    ./kratos.py identities.json > users.ndjson

The file contains a JSON list of identities, or one identity on each line, as returned by
`GET /admin/identities/ID?include_credential=password`. Users keep their passwords, because the hashes are migrated. Identities
with a social sign-in and no password become SSO users. What can't be migrated is reported on standard error. Only needs Python.
"""

import argparse
import json
import os
import re
import sys

TAKEN = ("$argon2", "$scrypt$", "$pbkdf2-sha256$", "$pbkdf2-sha512$", "$2a$", "$2b$", "$2y$")


def password_hash(text):
    """Returns a hash in the format of muster, or None if the scheme is not supported."""
    if not text.startswith(TAKEN):
        return None
    if text.startswith("$2"):
        return text
    # PHC strings use base64 without padding.
    text = text.replace("=$", "$").replace("=$", "$").rstrip("=")
    if text.startswith("$scrypt$"):
        # Kratos writes N where PHC strings have its logarithm.
        cost = re.match(r"\$scrypt\$ln=(\d+),", text)
        if cost and int(cost[1]) > 64:
            log = int(cost[1]).bit_length() - 1
            text = text.replace(f"ln={cost[1]},", f"ln={log},", 1)
    return text


def row(identity, notes):
    """Converts an identity to a row of the list. Trait names follow Kratos' example schema; adapt them to yours."""
    traits, credentials = identity["traits"], identity.get("credentials") or {}
    name = traits.get("name") or {}
    if isinstance(name, str):
        name = {"first": name}
    made = {"name": name.get("first") or traits["email"].split("@")[0], "email": traits["email"]}
    if name.get("last"):
        made["lastname"] = name["last"]
    stored = ((credentials.get("password") or {}).get("config") or {}).get("hashed_password")
    made["is_sso_user"] = "password" not in credentials and bool({"oidc", "saml"} & credentials.keys())
    taken = password_hash(stored) if stored else None
    if taken:
        made["password_hash"] = taken
    elif stored:
        scheme = stored.split("$")[1]
        notes.append(f"{made['email']}: can't sign in until a password is set; muster does not support `{scheme}` hashes")
    elif "password" in credentials:
        notes.append(f"{made['email']}: can't sign in until a password is set; the export lacks the hash (include_credential)")
    return made


def read(path):
    """Returns the identities of a file."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            whole = json.loads(text)
        except json.JSONDecodeError:
            whole = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        sys.exit(f"error: can't read `{path}`: {error}")
    identities = whole if isinstance(whole, list) else [whole]
    if not identities or not all(isinstance(each, dict) and "traits" in each for each in identities):
        sys.exit(f"error: `{path}` is not a list of identities with `traits`")
    return identities


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("identities", help="a JSON list of identities, or one identity on each line")
    parser.add_argument(
        "--suspend",
        metavar="FILE",
        help="include inactive identities, and write the list for `muster user suspend -f FILE`; by default they are left out",
    )
    arguments = parser.parse_args()
    notes, suspend = [], []
    for identity in read(arguments.identities):
        email = identity["traits"].get("email")
        is_active = identity.get("state", "active") == "active"
        if not email:
            notes.append(f"{identity['id']}: left out: no e-mail address")
        elif not is_active and not arguments.suspend:
            notes.append(f"{email}: left out: inactive")
        else:
            if not is_active:
                suspend.append({"user": email})
            print(json.dumps(row(identity, notes), ensure_ascii=False))
    if arguments.suspend:
        with open(arguments.suspend, "w", encoding="utf-8", opener=private) as file:
            file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in suspend)
    for note in notes:
        print(note, file=sys.stderr)


def private(path, flags):
    """Opens a file that only the owner can read."""
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    main()
