"""awxkit's command line and its library, unmodified, through a token's life."""

import json
import os
import pathlib
import subprocess
import sys

SERVER = os.environ["SERVER"]
AWX = str(pathlib.Path(sys.executable).with_name("awx"))


def awx(*words, **more):
    """What a command prints, and whether it succeeded."""
    own = {"CONTROLLER_HOST": SERVER, "CONTROLLER_VERIFY_SSL": "false", "PATH": os.environ["PATH"]}
    told = subprocess.run(
        [AWX, *words, "--conf.color", "no"],
        env=own | {"HOME": os.environ.get("HOME", "/")} | more,
        capture_output=True,
        text=True,
    )
    return told.stdout, told.returncode, told.stderr


def login(name, password, *words):
    told = awx("login", *words, CONTROLLER_USERNAME=name, CONTROLLER_PASSWORD=password)[0]
    try:
        return json.loads(told)["token"]
    except ValueError:
        return None


def done(*words, **more):
    out, status, err = awx(*words, **more)
    assert status == 0, (words, out, err)
    return json.loads(out) if out.strip() else None


token = login("bob", "bob-password")
assert token, "nobody was signed in"
assert login("bob", "a wrong one") is None
bob = {"CONTROLLER_OAUTH_TOKEN": token}

mine = done("tokens", "list", **bob)
assert [row["description"] for row in mine["results"]] == ["AWX CLI"], mine
assert mine["results"][0]["token"] == "************", mine
made = done("tokens", "create", "--description", "ci", "--scope", "read", **bob)
assert (made["description"], made["scope"], made["user"]) == ("ci", "read", 2), made
number = str(made["id"])
assert done("tokens", "get", number, **bob)["token"] == "************"
changed = done("tokens", "modify", number, "--description", "nightly", **bob)
assert (changed["description"], changed["scope"]) == ("nightly", "read"), changed
listed = done("tokens", "list", "--all", "--order_by=-id", **bob)["results"]
assert [row["description"] for row in listed] == ["nightly", "AWX CLI"], listed
assert done("me", **bob)["results"][0]["username"] == "bob"

# What only reads is not even offered to create.
reading = {"CONTROLLER_OAUTH_TOKEN": made["token"]}
assert done("tokens", "list", **reading)["count"] == 2
assert awx("tokens", "create", "--description", "x", **reading)[1] == 2
out, status, _ = awx("tokens", "create", "--description", "x", "--scope", "foo", **bob)
assert status == 1 and "Must be a simple space-separated string" in out, out

assert awx("tokens", "delete", number, **bob)[1] == 0
out, status, err = awx("tokens", "list", **reading)
assert status == 1 and "Valid credentials were not provided." in out + err, (out, err)

# The library under it.
from awxkit import api, config

config.base_url, config.assume_untrusted, config.use_sessions = SERVER, True, False
root = api.Api()
root.connection.session.headers["Authorization"] = f"Bearer {token}"
tokens = root.get().available_versions.v2.get().tokens
row = tokens.post({"description": "by the library", "scope": "write"})
assert row.token != "************" and row.endpoint == f"/api/v2/tokens/{row.id}/", row
row.description = "changed"
found = tokens.get(description__icontains="CHANGED")
assert found.count == 1 and found.results[0].id == row.id, found
found.results[0].delete()
assert tokens.get(id=row.id).count == 0
