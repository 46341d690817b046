"""The vendor's own client, unmodified, invites people: its command line and its SDK.

HOST and TOKEN say where and as whom, as for vendor-client.sh. Prints one line a check; the exit status is 1 if one failed.
"""

import os
import subprocess
import sys
import tempfile

host, token = os.environ["HOST"], os.environ["TOKEN"]
home = tempfile.TemporaryDirectory()
os.environ.update(
    HOME=home.name,
    ANYSCALE_HOST=host,
    ANYSCALE_CLI_TOKEN=token,
    ANYSCALE_SUPPRESS_UPGRADE_WARNING="1",
    COLUMNS="200",
    NO_COLOR="1",
)
import anyscale  # reads the environment when it is imported

failed = 0


def check(what, holds, seen):
    global failed
    failed += not holds
    print(("ok   " if holds else "FAIL ") + what + ("" if holds else f"\n     | {seen!r}"), flush=True)


def cli(*arguments):
    command = [os.path.join(os.path.dirname(sys.executable), "anyscale"), "organization-invitation", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL)
    return ran.returncode, " ".join((ran.stdout + ran.stderr).split())


status, said = cli("create", "--emails", "cli@anyscale.com,nope,administrator@muster.invalid,CLI@anyscale.com")
check("create: exit 0", status == 0, said)
check("create: who was invited", "sent to: cli@anyscale.com" in said, said)
for sentence in [
    "`nope`: not a valid e-mail address",
    "administrator@muster.invalid is a member of the organization already",
    "CLI@anyscale.com is in the list more than once",
]:
    check(f"create: {sentence}", sentence in said, said)
status, said = cli("create", "--emails", "cli@anyscale.com")
check("create again: replaces", status == 0 and "sent to: cli@anyscale.com" in said, said)
status, said = cli("list")
check("list: one for an address", status == 0 and said.count("orginv_") == 1 and "cli@anyscale.com" in said, said)
status, said = cli("delete", "--email", "Cli@anyscale.com")
check("delete: by any spelling of the address", status == 0 and "for cli@anyscale.com deleted" in said, said)
status, said = cli("delete", "--email", "cli@anyscale.com")
check("delete again: fails in words", status == 1 and "not found" in said, said)

many = [f"{n}@anyscale.com" for n in range(120)]
sent, errors = anyscale.organization_invitation.create(emails=[*many, ""])
check("SDK create: all but the empty one", (sent, len(errors)) == (many, 1), (sent, errors))
listed = [one.email for one in anyscale.organization_invitation.list()]
check("SDK list: all in one answer", sorted(listed) == sorted(many), listed)
gone = anyscale.organization_invitation.delete(email=many[0])
left = anyscale.organization_invitation.list()
check("SDK delete", gone == many[0] and len(left) == 119, (gone, len(left)))
sys.exit(failed > 0)
