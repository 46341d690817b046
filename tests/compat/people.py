#!/usr/bin/env python
"""Runs every command and SDK call of the vendor's client that concerns users, against a muster server.

    HOST=http://127.0.0.1:9921 TOKEN=amk_... python people.py [PART...]

Needs a Python with the client (see requirements.txt). Without arguments, all parts run, in the order of PARTS.
Creates users and changes the organization: use a temporary server. The last line is always
"N passed, N failed"; the exit status is 0 only if nothing failed.

The expected texts and exit statuses are the client's own, as an administrator sees them.
"""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
import uuid

HOST = os.environ["HOST"].rstrip("/")
TOKEN = os.environ["TOKEN"]
TAG = uuid.uuid4().hex[:8]
WORK = tempfile.TemporaryDirectory(prefix="muster-people-")
CLIENT = os.path.join(os.path.dirname(sys.executable), "anyscale")
LOOPBACK = re.match(r"https?://(127\.|localhost|\[::1\])", HOST)

passed, failed = 0, 0


class Ran:
    """The result of a command."""

    def __init__(self, status, out, err):
        self.status, self.out = status, out
        # Lines without colors and without the client's clock: "(anyscale +0.9s) ".
        lines = re.sub(r"\x1b\[[0-9;]*m", "", err).splitlines()
        self.err = [re.sub(r"^\(anyscale \+[^)]*\) ", "", line).rstrip() for line in lines]

    def printed(self, line):
        return line in self.err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.status}\nout: {self.out[:1500]}\nerr: " + "\nerr: ".join(self.err[-25:])


def check(what, good, why=""):
    global passed, failed
    if good:
        passed += 1
        print(f"ok   {what}", flush=True)
    else:
        failed += 1
        print(f"FAIL {what}", flush=True)
        for line in str(why).splitlines()[:40]:
            print(f"       | {line}", flush=True)


def environment(token=TOKEN, home=None):
    """The client reads many variables: start from a known state."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANYSCALE_", "MUSTER_"))}
    if LOOPBACK:
        env = {name: value for name, value in env.items() if not name.lower().endswith("_proxy")}
    env.update(
        HOME=home or WORK.name, ANYSCALE_HOST=HOST, ANYSCALE_SUPPRESS_UPGRADE_WARNING="1", COLUMNS="200", NO_COLOR="1",
        PYTHONWARNINGS="ignore",
    )
    if token is not None:
        env["ANYSCALE_CLI_TOKEN"] = token
    return env


def cli(*args, token=TOKEN, home=None, stdin=""):
    """Runs the CLI without a terminal, so that it can't prompt there."""
    ran = subprocess.run(
        [CLIENT, *args], env=environment(token, home), input=stdin, capture_output=True, text=True, timeout=120,
        start_new_session=True,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def sdk(code, token=TOKEN):
    """Runs Python code with the SDK and returns the values passed to `show`. `attempt` returns exceptions by name and text."""
    program = (
        "import json, anyscale\n"
        "def show(value): print('=>' + json.dumps(value, default=str))\n"
        "def attempt(call):\n"
        "    try: return call()\n"
        "    except Exception as error: return [type(error).__name__, str(error)]\n" + code
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment(token), capture_output=True, text=True, timeout=120
    )
    shown = [json.loads(line[2:]) for line in ran.stdout.splitlines() if line.startswith("=>")]
    return shown if ran.returncode == 0 else [*shown, ["the program failed", ran.stderr[-1500:]]]


def opener():
    return urllib.request.build_opener(urllib.request.ProxyHandler({}) if LOOPBACK else urllib.request.ProxyHandler())


def http(method, path, body=None, token=TOKEN):
    """Sends a request for which the vendor's client has no command."""
    request = urllib.request.Request(
        HOST + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with opener().open(request) as answer:
        return json.loads(answer.read() or "null")


def file(name, text):
    path = os.path.join(WORK.name, name)
    with open(path, "w") as out:
        out.write(text)
    return path


def address(name):
    return f"{name}-{TAG}@example.com"


def create(*names):
    """Creates users with the client and returns their IDs."""
    rows = "".join(
        f"- {{name: {name}, lastname: {TAG}, email: {address(name)}, password: '', is_sso_user: false}}\n" for name in names
    )
    ran = cli("user", "batch-create", "--users-file", file("users.yaml", f"create_users:\n{rows}"))
    check(f"user batch-create of {', '.join(names)}", ran.status == 0 and ran.printed(f"{len(names)} users created."), ran)
    found = [cli("user", "get", "--email", address(name), "-o", "json").json() for name in names]
    return [user.get("user_id") or user.get("id") for user in found]


def rejected(what, ran, sentence, status=1):
    """Checks that the last line of the client's output is the server's error message."""
    check(what, ran.status == status and ran.err and ran.err[-1] == f"Error: {sentence}", ran)


# ---- users ---------------------------------------------------------------------------------------


def users():
    create("ada", "grace", "joan")
    emails = lambda *args: sorted(user["email"] for user in cli("user", "list", "-o", "json", *args).json())
    all_users = emails("--max-items", "5000")
    check("user list: all users", {address(name) for name in ("ada", "grace", "joan")} <= set(all_users), all_users)
    check("user list --email", emails("--email", address("ada").upper()) == [address("ada")])
    check("user list --email of an unknown address", emails("--email", address("nobody")) == [])
    check("user list --email ''", emails("--email", "") == [])
    check("user list --email %", emails("--email", "%") == [])
    check("user list --name, first and last", emails("--name", f"grace {TAG}") == [address("grace")])
    check("user list --name, exactly", emails("--name", f"Grace {TAG}") == [] == emails("--name", "gr%"))
    for kind in ("all_accounts", "only_user_accounts"):
        found = emails("--collaborator-type", kind, "--max-items", "5000")
        check(f"user list --collaborator-type {kind}", found == all_users, found)
    found = emails("--collaborator-type", "only_service_accounts")
    check("user list --collaborator-type only_service_accounts: no people", found == [], found)
    found = emails("--service-account", "--max-items", "5000")
    check("user list --service-account: no people", not set(found) & set(all_users), found)
    every = ("--email", address("joan"), "--name", f"joan {TAG}", "--collaborator-type", "only_user_accounts")
    check("user list with every filter", emails(*every) == [address("joan")])
    ran = cli("user", "list", "--max-items", "5000", "--page-size", "2", "-o", "json")
    check("user list --page-size 2: the same", sorted(user["email"] for user in ran.json()) == all_users, ran)
    ran = cli("user", "list", "--email", address("ada"))
    check("user list, table", ran.status == 0 and address("ada") in ran.out and ran.printed("Fetched 1 users."), ran)
    ran = cli("user", "list", "--email", address("nobody"))
    check("user list of an unknown address, table", ran.status == 0 and ran.printed("No users found."), ran)
    check("user list --max-items 0: usage error or rejected", cli("user", "list", "--max-items", "0").status in (1, 2))
    check("user list --page-size 51: usage error", cli("user", "list", "--page-size", "51").status == 2)

    for args in (("--email", address("ada")), ("--name", f"ada {TAG}"), every):
        ran = cli("user", "get", *args, "-o", "json")
        check(f"user get {args[0]}", ran.status == 0 and ran.json()["email"] in (address("ada"), address("joan")), ran)
    ran = cli("user", "get", "--email", address("ada"), "-o", "yaml")
    check("user get -o yaml", ran.status == 0 and f"email: {address('ada')}" in ran.out, ran)
    rejected("user get of an unknown user", cli("user", "get", "--name", "nobody"), "No user found matching 'nobody'.")
    check("user get without a filter: usage error", cli("user", "get").status == 2)

    shown = sdk(
        f"""
show(sorted(user.email for user in anyscale.user.list(page_size=2)))
show([user.email for user in anyscale.user.list(email={address("ada")!r}, is_service_account=False)])
show([user.email for user in anyscale.user.list(name={f"ada {TAG}"!r}, collaborator_type="only_user_accounts")])
show(anyscale.user.get(name={f"ada {TAG}"!r}).email)
show(attempt(lambda: anyscale.user.get(email="nobody@example.com")))
"""
    )
    check("SDK user.list: all users", set(all_users) <= set(shown[0]), shown)
    check("SDK user.list, user.get with filters", shown[1:4] == [[address("ada")], [address("ada")], address("ada")], shown)
    check("SDK user.get of an unknown user", shown[-1] == ["ValueError", "No user found matching 'nobody@example.com'."], shown)


# ---- groups --------------------------------------------------------------------------------------


def groups():
    create("kay", "ida")
    made = [http("POST", "/api/v2/user_groups/", {"name": f"{name} {TAG}"})["result"] for name in ("one", "two")]
    people = [{"user": address("kay")}, {"user": address("ida")}]
    http("POST", f"/api/v2/user_groups/{made[0]['id']}/members/add", people)

    ran = cli("user-group", "list")
    check("user-group list, table", ran.status == 0 and all(f"one {TAG}" in ran.out for group in made), ran)
    ran = cli("user-group", "list", "-o", "json")
    found = [group for group in ran.json() if TAG in group["name"]]
    check("user-group list -o json", [group["id"] for group in found] == [group["id"] for group in made], ran)
    check("user-group list -o yaml", made[0]["id"] in cli("user-group", "list", "-o", "yaml").out)
    check("user-group list -o table", made[0]["id"] in cli("user-group", "list", "-o", "table").out)
    ran = cli("user-group", "list", "--max-items", "1", "-o", "json")
    check("user-group list --max-items 1", ran.status == 0 and len(ran.json()) == 1, ran)
    check("user-group list --max-items 51: rejected", cli("user-group", "list", "--max-items", "51").status != 0)

    ran = cli("user-group", "get", "--id", made[0]["id"])
    check("user-group get, text", ran.status == 0 and f"one {TAG}" in ran.out and made[0]["org_id"] in ran.out, ran)
    ran = cli("user-group", "get", "--id", made[0]["id"], "-o", "json")
    got = ran.json()
    check("user-group get -o json", [got[key] for key in ("id", "name", "org_id")] == [made[0][key] for key in ("id", "name", "org_id")], ran)
    for unknown in ("ug_01k9h6m3x0e8wbz1v5n7q2r4t6", "memberships", "a/b c"):
        ran = cli("user-group", "get", "--id", unknown)
        sentence = f"there is no group {unknown}" if unknown.startswith("ug_") else "no such group; an ID is `ug_` and 26 characters"
        good = ran.status == 1 and ran.err[-1].startswith(f"Error: Failed to get user group: {sentence}")
        check(f"user-group get of {unknown}", good, ran)

    members = {f"one {TAG}": sorted([address("kay"), address("ida")]), f"two {TAG}": []}
    ran = cli("user-group", "membership", "list")
    ours = {name: emails for name, emails in ran.json().items() if TAG in name}
    check("user-group membership list", ran.status == 0 and ours == members, ran)
    check("user-group membership list prints its message", ran.printed("Listing user group memberships..."), ran)
    for option in ("--output-file", "-o"):
        path = os.path.join(WORK.name, "memberships.json")
        ran = cli("user-group", "membership", "list", option, path)
        good = ran.status == 0 and ran.printed(f"Results written to {path}") and members.items() <= json.load(open(path)).items()
        check(f"user-group membership list {option}", good, ran)
    ran = cli("user-group", "membership", "list", "--output-format", "yaml")
    check("user-group membership list --output-format yaml", ran.status == 0 and address("kay") in ran.out, ran)

    shown = sdk(
        f"""
show([group.id for group in anyscale.user_group.list(max_items=50) if {TAG!r} in group.name])
group = anyscale.user_group.get({made[1]["id"]!r})
show([group.name, group.org_id, group.created_at.tzinfo is not None])
show(attempt(lambda: anyscale.user_group.get("ug_1")))
"""
    )
    check("SDK user_group.list", shown[0] == [group["id"] for group in made], shown)
    check("SDK user_group.get", shown[1:2] == [[f"two {TAG}", made[1]["org_id"], True]], shown)
    check("SDK user_group.get of an unknown group", shown[-1] == ["ValueError", "no such group; an ID is `ug_` and 26 characters"], shown)


# ---- policies ------------------------------------------------------------------------------------


def policies():
    (user_id,) = create("mary")
    group = http("POST", "/api/v2/user_groups/", {"name": f"owners {TAG}"})["result"]["id"]
    http("POST", f"/api/v2/user_groups/{group}/members/add", [{"user": user_id}])
    organization = ("--resource-type", "organization")
    empty = file("empty.yaml", "bindings: []\n")

    ran = cli("policy", "set", *organization, "-f", empty)
    check("policy set without bindings", ran.status == 0 and ran.printed("Policy for organization your organization has been updated."), ran)
    ran = cli("policy", "get", *organization)
    check("policy get without bindings", ran.status == 0 and ran.printed("No policy bindings found for organization your organization."), ran)
    bound = file("bound.yaml", f"bindings:\n  - role_name: owner\n    principals: [{group}]\n")
    ran = cli("policy", "set", *organization, "-f", bound)
    check("policy set", ran.status == 0 and ran.printed("Policy for organization your organization has been updated."), ran)
    ran = cli("policy", "get", *organization)
    row = [line.split() for line in ran.out.splitlines() if group in line]
    check("policy get, table", ran.status == 0 and row == [["owner", group, "success"]], ran)
    ran = cli("policy", "get", *organization, "-o", "json")
    bindings = [{"role_name": "owner", "principals": [group]}]
    check("policy get -o json", ran.status == 0 and ran.json()["bindings"] == bindings, ran)
    owners = [owner["user_id"] for owner in cli("user", "list-permissions").json()["org_owners"]]
    check("policy set: the group's members are owners", user_id in owners, owners)

    wrong = file("wrong.yaml", f"bindings:\n  - role_name: readonly\n    principals: [{group}, ug_1]\n")
    rejected(
        "policy set with an invalid role and group: both are reported", cli("policy", "set", *organization, "-f", wrong),
        "Failed to set policy: the policy can't be set; nothing was written: bindings[0].role_name: must be `owner` or "
        "`collaborator`; bindings[0].principals[1]: there is no such group",
    )
    ran = cli("policy", "get", *organization, "-o", "json")
    check("policy set with an invalid role and group: nothing changes", ran.json()["bindings"] == bindings, ran)
    for kind in ("cloud", "project"):
        ran = cli("policy", "list", "--resource-type", kind)
        check(f"policy list of {kind}s", ran.status == 0 and ran.printed(f"No {kind}s found."), ran)
        ran = cli("policy", "list", "--resource-type", kind, "-o", "json")
        check(f"policy list of {kind}s -o json", ran.status == 0 and ran.json() == [], ran)
        sentence = f"no such {kind}; only the organization has a policy"
        one = ("--resource-type", kind, "--resource-id", "x_1")
        rejected(f"policy get of a {kind}", cli("policy", "get", *one), f"Failed to get policy: {sentence}")
        rejected(f"policy set of a {kind}", cli("policy", "set", *one, "-f", bound), f"Failed to set policy: {sentence}")

    shown = sdk(
        f"""
from anyscale.policy.models import PolicyBinding, PolicyConfig
policy = anyscale.policy.get("organization")
show([[binding.role_name, binding.principals] for binding in policy.bindings] + [policy.sync_status.value])
anyscale.policy.set("organization", PolicyConfig(bindings=[PolicyBinding("collaborator", [{group!r}])]))
show([binding.role_name for binding in anyscale.policy.get("organization").bindings])
show(anyscale.policy.list("cloud"))
show(attempt(lambda: anyscale.policy.set("organization", PolicyConfig(bindings=[PolicyBinding("owner", ["ug_1"])]))))
"""
    )
    check("SDK policy.get", shown[0] == [["owner", [group]], "success"], shown)
    check("SDK policy.set, policy.list", shown[1:3] == [["collaborator"], []], shown)
    check("SDK policy.set of an unknown group", shown[-1][0] == "ValueError" and "no such group" in shown[-1][1], shown)
    cli("policy", "set", *organization, "-f", empty)


# ---- permissions ---------------------------------------------------------------------------------


def permissions():
    (user_id,) = create("edith")
    entry = {"clouds": [], "is_service_account": False, "user_email": address("edith"), "user_id": user_id}
    ran = cli("user", "list-permissions")
    listed = ran.json()
    check("user list-permissions", ran.status == 0 and entry in listed["users"] and listed["org_owners"], ran)
    check("user list-permissions prints its message", ran.printed("Listing users and their effective permissions..."), ran)
    ran = cli("user", "list-permissions", "--user-id", user_id)
    check("user list-permissions --user-id", ran.status == 0 and ran.json()["users"] == [entry], ran)
    ran = cli("user", "list-permissions", "--user-id", "usr_1")
    rejected("user list-permissions of an unknown user", ran, "there is no such user in this organization")
    for option in ("--output-file", "-o"):
        path = os.path.join(WORK.name, "permissions.json")
        ran = cli("user", "list-permissions", option, path)
        check(f"user list-permissions {option}", ran.status == 0 and entry in json.load(open(path))["users"], ran)
    for form in ("json", "yaml"):
        ran = cli("user", "list-permissions", "--output-format", form)
        check(f"user list-permissions --output-format {form}", ran.status == 0 and address("edith") in ran.out, ran)

    ran = cli("scim", "check-permissions")
    check("scim check-permissions", (ran.status, ran.out) == (0, "All SCIM users have complete permission setup.\n"), ran)
    preview = "\n=== Permission Changes Preview ===\nNo permission changes detected.\n"
    ran = cli("scim", "enforce-groups", "--dry-run")
    end = "\n(No changes were applied. Remove --dry-run to apply changes.)\n"
    check("scim enforce-groups --dry-run", (ran.status, ran.out) == (0, preview + end), ran)
    ran = cli("scim", "enforce-groups", stdin="n\n")
    check("scim enforce-groups, declined", ran.status == 1 and ran.out.startswith(preview) and ran.printed("Aborted!"), ran)
    ran = cli("scim", "enforce-groups", stdin="y\n")
    applied = ran.out.endswith("\n=== Applied Permission Changes ===\nNo permission changes detected.\n")
    check("scim enforce-groups, confirmed", ran.status == 0 and applied and "0 users will be removed" in ran.out, ran)
    check("scim enforce-groups prints its message", ran.printed("SCIM permission migration completed successfully."), ran)


# ---- invitations ---------------------------------------------------------------------------------


def invitations():
    create("member")
    new, other, member = address("new"), address("other"), address("member")
    command = "organization-invitation"
    failure = "Failed to send organization invitations with the following errors: "

    ran = cli(command, "create", "--emails", f"{new},{other}")
    check(f"{command} create", ran.status == 0 and ran.printed(f"Organization invitations sent to: {new}, {other}"), ran)
    ran = cli(command, "create", "--emails", f"{member},{new},not an address")
    check(f"{command} create: valid addresses are invited", ran.status == 0 and ran.printed(f"Organization invitations sent to: {new}"), ran)
    errors = [line for line in ran.err if failure in line]
    check(f"{command} create: each other address is reported with its reason", len(errors) == 2 and member in errors[0], ran)

    listed = lambda: {entry["email"]: entry for entry in cli(command, "list", "-o", "json").json()}
    ran = cli(command, "list", "-o", "json")
    emails = sorted(entry["email"] for entry in ran.json() if TAG in entry["email"])
    check(f"{command} list: one for each address", ran.status == 0 and emails == sorted([new, other]), ran)
    check(f"{command} list: ids", all(entry["id"].startswith("orginv_") for entry in listed().values()), listed())
    ran = cli(command, "list")
    check(f"{command} list, table", ran.status == 0 and new in ran.out and other in ran.out, ran)
    check(f"{command} list -o yaml", new in cli(command, "list", "-o", "yaml").out)

    ran = cli(command, "delete", "--email", new)
    check(f"{command} delete", ran.status == 0 and ran.printed(f"Organization invitation for {new} deleted."), ran)
    check(f"{command} delete: the invitation is gone", new not in listed() and other in listed(), listed())
    sentence = f"Failed to delete organization invitation: Invitation for email '{new}' not found."
    rejected(f"{command} delete of an unknown one", cli(command, "delete", "--email", new), sentence)

    shown = sdk(
        f"""
show(anyscale.organization_invitation.create([{new!r}, {member!r}]))
show([entry.email for entry in anyscale.organization_invitation.list() if entry.email == {new!r}])
show(anyscale.organization_invitation.delete({new!r}))
show(attempt(lambda: anyscale.organization_invitation.delete({new!r})))
"""
    )
    good = shown[0][0] == [new] and len(shown[0][1]) == 1 and member in shown[0][1][0]
    check("SDK organization_invitation.create", good, shown)
    check("SDK organization_invitation.list, delete", shown[1:3] == [[new], new], shown)
    check("SDK organization_invitation.delete of an unknown one", shown[-1] == ["ValueError", f"Invitation for email '{new}' not found."], shown)


# ---- service accounts ----------------------------------------------------------------------------


def works(token):
    ran = cli("auth", "show", token=token)
    return ran.status == 0 and ran.printed("Successfully authenticated as:")


def service_accounts():
    name, command = f"robot-{TAG}", "service-account"
    ran = cli(command, "create", "--name", name)
    token = ran.err[-1].strip() if ran.err else ""
    check(f"{command} create", ran.status == 0 and ran.printed(f"Service account {name} created successfully."), ran)
    check(f"{command} create: the token works", works(token), ran)
    ran = cli("auth", "show", token=token)
    check(f"{command} create: the token is the account's", any(name in line for line in ran.err), ran)
    ran = cli(command, "create", "-n", name)
    check(f"{command} create, twice", ran.status == 1 and ran.err[-1].startswith("Error: Error creating service account: "), ran)
    ran = cli(command, "create", "-n", f"second-{TAG}", "-o", "json")
    check(f"{command} create -o json", ran.status == 0 and ran.json()["name"] == f"second-{TAG}" and works(ran.json()["api_key"]), ran)

    ran = cli(command, "list", "-o", "json", "--max-items", "50")
    found = {account["name"]: account for account in ran.json()}
    check(f"{command} list", ran.status == 0 and name in found and f"second-{TAG}" in found, ran)
    email = found.get(name, {}).get("email", "")
    check(f"{command} list: address and level", email.startswith(f"{name}@") and "OWNER" not in str(found[name]).upper(), found)
    ran = cli(command, "list")
    check(f"{command} list, table", ran.status == 0 and name in ran.out, ran)
    ran = cli("user", "list", "--service-account", "--name", name, "-o", "json")
    check("user list --service-account --name", ran.status == 0 and [user["email"] for user in ran.json()] == [email], ran)
    ran = cli("user", "list", "--name", name, "-o", "json")
    check("user list: service accounts are not listed as users", ran.status == 0 and ran.json() == [], ran)

    for option, value in (("--name", name), ("--email", email)):
        ran = cli(command, "create-api-key", option, value, "-o", "json")
        check(f"{command} create-api-key {option}", ran.status == 0 and works(ran.json()["api_key"]), ran)
    check(f"{command} create-api-key: the first key still works", works(token))
    rejected(
        f"{command} create-api-key of an unknown account", cli(command, "create-api-key", "--name", "none"),
        "Error creating API key: No service account none found.",
    )
    shown = sdk(
        f"""
show(anyscale.service_account.create_api_key(name={name!r}))
show(anyscale.service_account.rotate_api_keys(name={name!r}))
show([account.name for account in anyscale.service_account.list(max_items=50)])
show(anyscale.service_account.create({f"third-{TAG}"!r}))
anyscale.service_account.delete(name={f"third-{TAG}"!r})
show(attempt(lambda: anyscale.service_account.delete(name={f"third-{TAG}"!r})))
"""
    )
    check("SDK service_account.rotate_api_keys: the new key works", len(shown) == 5 and works(shown[1]), shown)
    check("SDK service_account.rotate_api_keys: earlier keys do not", not works(shown[0]) and not works(token), shown)
    check("SDK service_account.list", len(shown) == 5 and name in shown[2], shown)
    check("SDK service_account.create, delete", shown[-1] == ["ValueError", f"No service account third-{TAG} found."], shown)
    check("SDK service_account.delete: its key is invalid", len(shown) == 5 and not works(shown[3]), shown)

    for option, value in (("--email", email), ("--name", f"second-{TAG}")):
        ran = cli(command, "delete", option, value)
        check(f"{command} delete {option}", ran.status == 0 and ran.printed(f"Service account {value} deleted successfully."), ran)
    rejected(
        f"{command} delete of an unknown one", cli(command, "delete", "--name", name),
        f"Error deleting service account: No service account {name} found.",
    )


# ---- the generated layer -------------------------------------------------------------------------


def generated_layer():
    """Routes that the client's generated layer has, and no command calls yet."""
    (user_id,) = create("lise")
    email, new = address("lise"), address("later")
    account = http("POST", f"/api/v2/users/service_accounts?name=later-{TAG}")["result"]["user_id"]
    names = ("flag", "member", "search", "not_equal", "group", "invited", "invitations", "days", "unlimited", "keys", "revoked", "migrated")
    values = sdk(
        f"""
from anyscale.authenticate import get_auth_api_client
from anyscale.client.openapi_client.models import (
    ApiKeyParameters, CreateOrganizationInvitation, CreateUserGroupRequest, OrganizationCollaboratorsQuery, RevokeApiKeysRequest,
    TextQuery, UpdateApiKeyExpirationSettings, UserGroupMembersRequest,
)
api = get_auth_api_client(log_output=False).api_client
show(api.check_is_feature_flag_on_api_v2_userinfo_check_is_feature_flag_on_get("any").result.is_on)
show(api.get_organization_collaborator_api_v2_organization_collaborators_user_id_get({user_id!r}).result.email)
search = api.search_organization_collaborators_api_v2_organization_collaborators_search_post
of = lambda **texts: OrganizationCollaboratorsQuery(name_or_email=TextQuery(**texts))
show([[one.email for one in search(of(contains=text), count=1).results] for text in ({email.upper()!r}, "nobody at all")])
show({email!r} in [one.email for one in search(of(contains={TAG!r}, not_equal={email!r})).results])
group = api.create_user_group_api_v2_user_groups_post(CreateUserGroupRequest(name="later {TAG}")).result.id
members = lambda: [
    [member.user_email for member in one.members]
    for one in api.list_user_group_memberships_api_v2_user_groups_memberships_list_get().result.groups if one.group_id == group
]
request = UserGroupMembersRequest(user_ids=[{user_id!r}])
api.add_user_group_members_api_v2_user_groups_group_id_members_post(group, request)
before = members()
api.remove_user_group_members_api_v2_user_groups_group_id_members_delete(group, request)
show([before, members()])
invited = api.create_invitation_api_v2_organization_invitations_post(CreateOrganizationInvitation(email={new!r})).result.id
show(api.get_invitation_api_v2_organization_invitations_invitation_id_get(invited).result.email)
page = api.list_invitations_api_v2_organization_invitations_get(count=1, email={new!r})
show([[one.id for one in page.results] == [invited], page.metadata.next_paging_token])
settings = lambda days: UpdateApiKeyExpirationSettings(max_api_key_expiration_days=days)
api.update_api_key_expiration_api_v2_organizations_api_key_expiration_put(settings(30))
show(api.get_api_key_expiration_api_v2_organizations_api_key_expiration_get().result.max_api_key_expiration_days)
parameters = ApiKeyParameters(duration=3153600000.0, user_id={account!r}, name="later {TAG}")
token = api.create_api_key_api_v2_users_create_api_key_post(parameters).result.server_session_id
listed = lambda: api.list_api_keys_for_admin_api_v2_users_admin_api_keys_get(user_id={account!r}).results
days = (listed()[0].expires_at - listed()[0].created_at).days
show(api.update_api_key_expiration_api_v2_organizations_api_key_expiration_put(settings(None)).result.max_api_key_expiration_days)
show([days, [key.name for key in listed()], "later {TAG}" in [key.name for key in api.list_api_keys_api_v2_users_api_keys_get(count=50).results]])
ids = RevokeApiKeysRequest(api_key_ids=[listed()[0].hex_hashed_id, "key_1"])
outcome = api.revoke_api_keys_for_admin_api_v2_users_admin_api_keys_revoke_post(ids).result
show([outcome.success_count, outcome.failed_count, outcome.total_requested, listed()[0].revoked_at is not None, len(outcome.failed_keys)])
migrated = api.migrate_scim_permissions_api_v2_scim_migrate_permissions_post(dry_run=False, acknowledge_user_removal_count=2).result
show([migrated.dry_run, migrated.errors])
"""
    )
    shown = dict(zip(names, values))
    expected = {
        "flag": False, "member": email, "search": [[email], []], "not_equal": False, "group": [[[email]], [[]]], "invited": new,
        "invitations": [True, None], "days": 30, "unlimited": None, "keys": [30, [f"later {TAG}"], False],
        "revoked": [1, 1, 2, True, 1], "migrated": [False, []],
    }
    for name in names:
        check(f"generated layer: {name}", shown.get(name, "nothing") == expected[name], values)


# ---- a collaborator ------------------------------------------------------------------------------


def collaborator():
    """Commands for organization admins, with the key of a collaborator."""
    account = http("POST", f"/api/v2/users/service_accounts?name=low-{TAG}")["result"]["user_id"]
    token = http("POST", "/api/v2/api_keys", {"name": "low", "user_id": account})["result"]["token"]
    for command, prefix, action in (
        (("user-group", "list"), "", "group.list"),
        (("user-group", "get", "--id", "ug_01k9h6m3x0e8wbz1v5n7q2r4t6"), "Failed to get user group: ", "group.list"),
        (("policy", "get", "--resource-type", "organization"), "Failed to get policy: ", "policy.get"),
        (("policy", "list", "--resource-type", "cloud"), "Failed to list policies: ", "policy.get"),
    ):
        sentence = f"{prefix}not permitted: `{action}` requires an owner's API key"
        rejected(f"{' '.join(command[:2])} with a collaborator's key", cli(*command, token=token), sentence)
    ran = cli("user-group", "membership", "list", token=token)
    check("user-group membership list with a collaborator's key", ran.status == 1 and ran.err[-1].endswith("`group.list` requires an owner's API key"), ran)


# ---- pages ---------------------------------------------------------------------------------------


def pages():
    """The pages that the client prints."""
    ran = cli("user", "list", "--max-items", "1")
    page = next((line.split()[-1] for line in ran.err if line.endswith("/collaborators")), "")
    ran = cli("user", "list", token=f"amk_wrong{TAG}")
    keys = next(iter(re.findall(r"http\S+/v2/api-keys", " ".join(ran.err))), "")
    for url, text in ((page, "<h1>Sign in</h1>"), (keys, "muster login")):
        request = urllib.request.Request(url or HOST, headers={"Accept": "text/html,*/*;q=0.8"})
        with opener().open(request) as answer:
            check(f"the page {url.removeprefix(HOST)} says what to do next", url and text in answer.read().decode(), url)


# ---- credentials file ---------------------------------------------------------------------------


def credentials(home):
    return os.path.join(home, ".anyscale", "credentials.json")


def auth():
    ran = cli("auth", "show")
    check("auth show", ran.status == 0 and ran.printed("Successfully authenticated as:"), ran)
    info = http("GET", "/api/v2/userinfo/")["result"]
    for label, value in (
        ("user name", info["name"]), ("user email", info["email"]), ("user id", info["id"]),
        ("organization name", info["organizations"][0]["name"]), ("organization id", info["organizations"][0]["id"]),
        ("organization role", "owner"),
    ):
        good = any(line.split(":", 1)[0].strip() == label and line.endswith(f" {value}") for line in ran.err if ":" in line)
        check(f"auth show: {label}", good, ran)
    ran = cli("auth", "show", token=f"amk_wrong{TAG}")
    check("auth show with an invalid token still exits with 0", ran.status == 0 and ran.printed("Not authenticated"), ran)

    home = tempfile.mkdtemp(dir=WORK.name)
    ran = cli("auth", "set", token=None, home=home, stdin=f"{TOKEN}\n")
    check("auth set", ran.status == 0 and json.load(open(credentials(home))) == {"cli_token": TOKEN}, ran)
    check("auth set: only the owner can read the file", stat.S_IMODE(os.stat(credentials(home)).st_mode) == 0o600)
    ran = cli("user", "list", "--max-items", "1", "-o", "json", token=None, home=home)
    check("the token of the file is used", ran.status == 0 and len(ran.json()) == 1, ran)
    os.chmod(credentials(home), 0o644)
    ran = cli("auth", "fix", token=None, home=home)
    check("auth fix", ran.status == 0 and stat.S_IMODE(os.stat(credentials(home)).st_mode) == 0o600, ran)
    ran = cli("auth", "remove", token=None, home=home, stdin="y\n")
    check("auth remove", ran.status == 0 and not os.path.exists(credentials(home)), ran)
    rejected("auth remove without a file", cli("auth", "remove", token=None, home=home), "Credentials file does not exist.")


# ---- login and logout ----------------------------------------------------------------------------


def login():
    home = tempfile.mkdtemp(dir=WORK.name)
    for args, end in (
        ((), "The authentication will expire in 7 days."),
        (("--expire-in-days", "1"), "The authentication will expire in 1 days."),
        (("--no-expire",), "Successfully logged in to Anyscale."),
    ):
        what = " ".join(("login", *args))
        process = subprocess.Popen(
            [CLIENT, "login", "--no-browser", *args], env=environment(None, home), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )
        begun, lines, otp = time.monotonic(), [], None
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"otp_[A-Za-z0-9_-]+", line)
            if found and otp is None:
                otp = found.group()
                # Approve after the first poll, which must be answered with no.
                time.sleep(1)
                http("POST", "/api/v2/users/approve_otp_token", {"otp": otp})
        ran = Ran(process.wait(60), "", "".join(lines))
        check(f"{what}: prints a URL with a one-time password", otp is not None, ran)
        check(f"{what}: completes after the approval", ran.status == 0 and end in ran.err, ran)
        check(f"{what}: within a few polls", time.monotonic() - begun < 30, ran)
        ran = cli("auth", "show", token=None, home=home)
        info = http("GET", "/api/v2/userinfo/")["result"]
        good = ran.printed("Successfully authenticated as:") and any(line.endswith(f" {info['id']}") for line in ran.err)
        check(f"{what}: the token acts as the approving user", good, ran)
    ran = cli("logout", token=None, home=home)
    check("logout", ran.status == 0 and ran.printed("Successfully logged out from Anyscale."), ran)
    check("logout: the file is gone", not os.path.exists(credentials(home)))
    rejected("logout, twice", cli("logout", token=None, home=home), "Credentials file does not exist.")


# ---- waiting -------------------------------------------------------------------------------------


def with_passwords(name, count):
    """A users file whose passwords take time to hash."""
    row = "- {{name: {0}, email: {0}-{1}-%s@example.com, password: 'kT9$wqzPlr', is_sso_user: false}}\n" % TAG
    return file(f"{name}.yaml", "create_users:\n" + "".join(row.format(name, n) for n in range(count)))


def start(path, host=HOST):
    """Starts a batch without waiting for it."""
    command = [CLIENT, "user", "batch-create", "--users-file", path]
    return subprocess.Popen(
        command, env={**environment(), "ANYSCALE_HOST": host}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        # A shell that runs tests in the background has them ignore Ctrl-C, which the client would inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def end(process):
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)


def batches(state):
    return http("GET", f"/api/v2/batches?state={state}")["results"]


def is_soon(what, holds):
    deadline = time.monotonic() + 60
    while not (good := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    check(what, good)


def impatient_proxy(timeout):
    """A load balancer that ends a connection when no data arrives from the server for so many seconds. Returns its URL."""
    host, port = HOST.split("://")[1].split(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for side in (source, target):
            side.close()

    def serve():
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((host, int(port)))
            server.settimeout(timeout)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return "http://127.0.0.1:%d" % listener.getsockname()[1]


def waiting():
    """Long lists: interrupted, sent again, and behind a load balancer with a short timeout."""
    path = with_passwords("left", 400)
    interrupted = start(path)
    is_soon("batch-create: the batch is listed while it runs", lambda: [b["hash_count"] for b in batches("running")] == [400])
    os.killpg(interrupted.pid, signal.SIGINT)
    ran = end(interrupted)
    check("batch-create, interrupted: fails", ran.status != 0, ran)
    is_soon("batch-create, interrupted: its batch fails", lambda: [b["error"]["code"] for b in batches("failed")] == ["disconnected"])
    found = cli("user", "list", "--email", f"left-0-{TAG}@example.com", "-o", "json")
    check("batch-create, interrupted: no user was created", found.json() == [], found)

    began = time.monotonic()
    both = [start(path), start(path)]
    both = [end(process) for process in both]
    took = time.monotonic() - began
    for ran in both:
        check("batch-create twice at once: both succeed", ran.status == 0 and ran.printed("400 users created."), ran)
    created = [batch for batch in batches("created") if batch["hash_count"] == 400]
    check("batch-create twice at once: one batch", len(created) == 1, created)
    began = time.monotonic()
    ran = cli("user", "batch-create", "--users-file", path)
    hashing = max(took - (time.monotonic() - began), took / 4)
    at = created[0]["created_at"][11:19]
    rejected(
        "batch-create of created users", ran,
        f"Error creating users: all 400 users were created by this API key's request of {at} UTC "
        f"(batch {created[0]['batch_id']}) and already exist; nothing is left to do",
    )

    # Long enough for muster to send blanks: more than 15 seconds of hashing.
    count = min(10_000, int(22 * 400 / hashing))
    began = time.monotonic()
    ran = end(start(with_passwords("long", count), impatient_proxy(12)))
    took = time.monotonic() - began
    check(f"batch-create of {count} users behind a proxy that waits 12 seconds ({took:.0f} s)",
          took > 15 and ran.status == 0 and ran.printed(f"{count} users created."), ran)

    shown = sdk(
        f"""
from anyscale.user.models import AdminCreateUser
user = AdminCreateUser(name="keyed", email={address("keyed")!r}, password="kT9$wqzPlr", is_sso_user=False)
for _ in range(2):
    client = anyscale.Anyscale(auth_token={TOKEN!r}, headers={{"Idempotency-Key": {TAG!r}}})
    show(attempt(lambda: [user.user_id for user in client.user.admin_batch_create([user])]))
"""
    )
    check("SDK with an Idempotency-Key: the same user twice", len(shown) == 2 and shown[0] == shown[1] and shown[0][0].startswith("usr_"), shown)


PARTS = {
    part.__name__: part
    for part in (
        users, groups, policies, permissions, invitations, service_accounts, generated_layer, collaborator, pages, auth, login,
        waiting,
    )
}


def summary():
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def main(names):
    for name in names or PARTS:
        print(f"---- {name}", flush=True)
        try:
            PARTS[name]()
        except Exception:
            check(f"{name}: completes", False, traceback.format_exc())
    return summary()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
