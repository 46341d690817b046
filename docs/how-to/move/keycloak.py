#!/usr/bin/env python3
"""Converts a Keycloak realm export into a list for `muster user batch-create`.

    kc.sh export --realm staff --users realm_file --file realm.json
    ./keycloak.py realm.json > users.ndjson

Users keep their passwords, because the hashes are migrated: Argon2, PBKDF2 with SHA-256 or SHA-512, and bcrypt (from the
common extension). Users who are linked to an identity provider become SSO users. What can't be migrated is reported on
standard error. Only needs Python.
"""

import argparse
import json
import os
import sys

SCHEMES = {"pbkdf2-sha256": "pbkdf2-sha256", "pbkdf2-sha512": "pbkdf2-sha512"}
VERSIONS = {"1.0": 16, "1.3": 19}


def password_hash(credential):
    """Returns the hash of a credential in the format of muster, or None if the scheme is not supported."""
    # Both are JSON strings that contain JSON.
    secret = json.loads(credential.get("secretData") or "{}")
    data = json.loads(credential.get("credentialData") or "{}")
    value, algorithm, rounds = secret.get("value", ""), data.get("algorithm"), data.get("hashIterations")
    if value.startswith(("$2a$", "$2b$", "$2y$")):
        return value
    # PHC strings use base64 without padding.
    salt, tag = secret.get("salt", "").rstrip("="), value.rstrip("=")
    if algorithm in SCHEMES:
        return f"${SCHEMES[algorithm]}$i={rounds}${salt}${tag}"
    if algorithm == "argon2":
        more = {name: values[0] for name, values in data.get("additionalParameters", {}).items() if values}
        kind, version, memory, lanes = (more.get(name) for name in ("type", "version", "memory", "parallelism"))
        if kind and version in VERSIONS and memory and lanes:
            return f"$argon2{kind}$v={VERSIONS[version]}$m={memory},t={rounds},p={lanes}${salt}${tag}"
    return None


def row(user, notes):
    """Converts a user of the realm to a row of the list."""
    email = user["email"]
    made = {"name": user.get("firstName") or user["username"], "email": email}
    if user.get("lastName"):
        made["lastname"] = user["lastName"]
    passwords = [credential for credential in user.get("credentials", []) if credential.get("type") == "password"]
    made["is_sso_user"] = bool(user.get("federatedIdentities"))
    if made["is_sso_user"]:
        if passwords:
            notes.append(f"{email}: signs in through an identity provider; the password is not migrated")
        return made
    hashes = [text for text in map(password_hash, passwords) if text]
    if hashes:
        made["password_hash"] = hashes[0]
        made["must_change_password"] = "UPDATE_PASSWORD" in user.get("requiredActions", [])
    elif passwords:
        algorithm = json.loads(passwords[0].get("credentialData") or "{}").get("algorithm")
        notes.append(f"{email}: can't sign in until a password is set; muster does not support `{algorithm}` hashes")
    return made


def read(path):
    """Returns the users of an export."""
    try:
        with open(path, encoding="utf-8") as file:
            realm = json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"error: can't read `{path}`: {error}")
    if not isinstance(realm, dict) or not realm.get("users"):
        sys.exit(f"error: `{path}` contains no users; export with `--users realm_file`")
    return realm["users"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("realm", help="the export: a realm with its users, or users only")
    parser.add_argument(
        "--suspend",
        metavar="FILE",
        help="include disabled users, and write the list for `muster user suspend -f FILE`; by default they are left out",
    )
    arguments = parser.parse_args()
    users = read(arguments.realm)
    notes, suspend = [], []
    for user in users:
        name = user.get("email") or user.get("username")
        if user.get("serviceAccountClientId"):
            notes.append(f"{name}: left out: service account; see `muster service-account create`")
        elif not user.get("email"):
            notes.append(f"{name}: left out: no e-mail address")
        elif not user.get("enabled", True) and not arguments.suspend:
            notes.append(f"{name}: left out: disabled")
        else:
            if not user.get("enabled", True):
                suspend.append({"user": user["email"]})
            print(json.dumps(row(user, notes), ensure_ascii=False))
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
