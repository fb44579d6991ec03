"""ansible-tower-cli, unmodified: it signs in for a token, and is somebody by it."""

import os
import pathlib
import subprocess
import sys
import tempfile

SERVER = os.environ["SERVER"]
TOWER = str(pathlib.Path(sys.executable).with_name("tower-cli"))
HOME = tempfile.mkdtemp()


def tower(*words, **more):
    own = {
        "HOME": HOME, "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"],
        "TOWER_HOST": SERVER, "TOWER_VERIFY_SSL": "false",
    }
    told = subprocess.run([TOWER, *words], env=own | more, capture_output=True, text=True)
    return told.stdout + told.stderr, told.returncode


told, status = tower("login", "bob", "--password", "a wrong one")
assert status != 0, told
told, status = tower("login", "bob", "--password", "bob-password", "--scope", "read")
assert status == 0, told
kept = pathlib.Path(HOME, ".tower_cli.cfg").read_text()
token = kept.split("oauth_token = ")[1].split()[0]
# By what it has kept, and by what it is given.
for more in ({}, {"TOWER_OAUTH_TOKEN": token}):
    told, status = tower("user", "list", "-f", "json", **more)
    assert status == 0 and '"username": "bob"' in told, told
# It only reads.
told, status = tower("user", "create", "--username", "x", "--password", "x", "--email", "x@x")
assert status != 0, told
told, status = tower("user", "list", TOWER_OAUTH_TOKEN="nonsense")
assert status == 41, (status, told)
