#!/usr/bin/env python
"""Runs the commands in which earlier versions of the vendor's client differ, against a muster server.

    HOST=http://127.0.0.1:9921 TOKEN=amk_... python earlier.py

Needs a Python with the client (see requirements-*.txt). The last line is always "N passed, N failed"; the exit status is 0
only if nothing failed. These versions report most errors with exit status 0.
"""

import re
import sys
import traceback

import anyscale
from people import HOST, TAG, address, check, cli, file, http, sdk, summary, works

VERSION = tuple(int(number) for number in anyscale.__version__.split("."))
PAT, BOT = f"pat-{TAG}", f"bot-{TAG}"


def said(ran, text):
    """The versions print messages to different streams, wrapped."""
    return text in " ".join((ran.out + " " + " ".join(ran.err)).split())


def token(ran):
    found = re.findall(r"amk_\w+", ran.out + " ".join(ran.err))
    return found[-1] if found else ""


def members(name):
    """The members of this name, as a program without the vendor's client sees them."""
    return http("GET", f"/api/v2/organization_collaborators/?name={name}")["results"]


def batches():
    rows = f"create_users:\n- {{name: {PAT}, email: {address('pat')}, password: '', is_sso_user: false}}\n"
    users = file("users.yaml", rows)
    ran = cli("user", "batch-create", "--users-file", users)
    check("user batch-create", ran.status == 0 and said(ran, "1 users created."), ran)
    ran = cli("user", "batch-create", "--users-file", users)
    good = said(ran, "Error creating users: ") and said(ran, "already exist")
    check("user batch-create, again: says that the user exists", good, ran)


def service_accounts():
    command = "service-account"
    ran = cli(command, "create", "--name", BOT)
    first = token(ran)
    check(f"{command} create: the token works", said(ran, f"Service account {BOT} created successfully.") and works(first), ran)
    ran = cli(command, "list")
    check(f"{command} list: the account", ran.status == 0 and said(ran, BOT), ran)
    check(f"{command} list: no people", not said(ran, PAT) and not said(ran, "Administrator"), ran)
    ran = cli(command, "create-api-key", "--name", BOT)
    check(f"{command} create-api-key: the token works", works(token(ran)), ran)
    ran = cli(command, "rotate-api-keys", "--name", BOT)
    check(f"{command} rotate-api-keys: the new token works", works(token(ran)), ran)
    check(f"{command} rotate-api-keys: the first does not", not works(first))

    # There is a person of this name, and no service account.
    for verb in ("delete", "rotate-api-keys"):
        ran = cli(command, verb, "--name", PAT)
        check(f"{command} {verb} of a person: no such account", said(ran, f"No service account {PAT} found."), ran)
    check(f"{command} delete of a person: the person is still a member", len(members(PAT)) == 1)
    ran = cli(command, "delete", "--name", BOT)
    check(f"{command} delete", said(ran, f"Service account {BOT} deleted successfully."), ran)
    check(f"{command} delete: the account is gone", members(BOT) == [])


def sdk_calls():
    """The calls that the commands of this version make after a lookup, with a person instead of a service account."""
    person = members(PAT)[0]
    shown = sdk(
        f"""
from anyscale.authenticate import get_auth_api_client
api = get_auth_api_client(log_output=False).api_client
def refused(call):
    try: call()
    except Exception as error: return str(error)
show(refused(lambda: api.rotate_api_key_for_user_api_v2_organization_collaborators_rotate_api_key_for_user_user_id_post({person["user_id"]!r})))
show(refused(lambda: api.remove_organization_collaborator_api_v2_organization_collaborators_identity_id_delete({person["id"]!r})))
"""
    )
    loses_the_parameter = (0, 26, 46) <= VERSION <= (0, 26, 62)
    sentence = "the account belongs to a person and was not changed: this version of the vendor's client takes people for service accounts"
    if loses_the_parameter:
        good = len(shown) == 2 and all(one and "(409)" in one and sentence in one for one in shown)
        check("deleting or rotating a person is refused with a sentence", good, shown)
        check("the person is still a member", len(members(PAT)) == 1)
    else:
        check("deleting a member by its ID works", len(shown) == 2 and shown[1] is None and members(PAT) == [], shown)


def invitations():
    if VERSION < (0, 26):
        return
    command = "organization-invitation"
    ran = cli(command, "create", "--emails", address("new"))
    check(f"{command} create", said(ran, f"Organization invitations sent to: {address('new')}"), ran)
    ran = cli(command, "list")
    check(f"{command} list", ran.status == 0 and said(ran, address("new")), ran)
    ran = cli(command, "delete", "--email", address("new"))
    check(f"{command} delete", said(ran, f"Organization invitation for {address('new')} deleted."), ran)


def main():
    print(f"client {anyscale.__version__}, server {HOST}", flush=True)
    for part in (batches, service_accounts, sdk_calls, invitations):
        try:
            part()
        except Exception:
            check(f"{part.__name__}: completes", False, traceback.format_exc())
    return summary()


if __name__ == "__main__":
    sys.exit(main())
