#!/usr/bin/env python3
"""Turns identities of Ory Kratos into a list for `muster user batch-create`.

    ./kratos.py identities.json > users.ndjson

The file has a JSON list of identities, or one on each line, each as `GET /admin/identities/ID?include_credential=password`
answers. Passwords come along as hashes, so that people keep them. Whoever has no password but a social sign-in is a user
of SSO. What can't come along is said on standard error. Needs nothing but Python.
"""

import argparse
import json
import os
import re
import sys

TAKEN = ("$argon2", "$scrypt$", "$pbkdf2-sha256$", "$pbkdf2-sha512$", "$2a$", "$2b$", "$2y$")


def password_hash(text):
    """A hash as muster takes it; None if it is of another kind."""
    if not text.startswith(TAKEN):
        return None
    if text.startswith("$2"):
        return text
    # Some have base64 with its padding, which PHC strings have not.
    text = text.replace("=$", "$").replace("=$", "$").rstrip("=")
    if text.startswith("$scrypt$"):
        # Kratos writes N itself where PHC strings have its logarithm.
        cost = re.match(r"\$scrypt\$ln=(\d+),", text)
        if cost and int(cost[1]) > 64:
            log = int(cost[1]).bit_length() - 1
            text = text.replace(f"ln={cost[1]},", f"ln={log},", 1)
    return text


def row(identity, notes):
    """An identity as a row of the list. Traits are named as in Kratos' own example: change this where yours are not."""
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
        notes.append(f"{made['email']}: has no password until one is set; muster takes no hashes of `{scheme}`")
    elif "password" in credentials:
        notes.append(f"{made['email']}: has no password until one is set; the export lacks the hash (include_credential)")
    return made


def read(path):
    """The identities of a file."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            whole = json.loads(text)
        except json.JSONDecodeError:
            whole = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        sys.exit(f"{path} can't be read: {error}")
    identities = whole if isinstance(whole, list) else [whole]
    if not identities or not all(isinstance(each, dict) and "traits" in each for each in identities):
        sys.exit(f"{path} is no list of identities: each has `traits`")
    return identities


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("identities", help="a JSON list of identities, or one on each line")
    parser.add_argument(
        "--suspend",
        metavar="FILE",
        help="take inactive identities along, and write the list for `muster user suspend -f FILE`; else they stay behind",
    )
    arguments = parser.parse_args()
    notes, suspend = [], []
    for identity in read(arguments.identities):
        email = identity["traits"].get("email")
        is_active = identity.get("state", "active") == "active"
        if not email:
            notes.append(f"{identity['id']}: left out: has no e-mail address")
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
    """Opens a file that nobody else may read."""
    return os.open(path, flags, 0o600)


if __name__ == "__main__":
    main()
