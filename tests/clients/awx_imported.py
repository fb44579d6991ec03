"""A token of AWX's own table, presented by the client that had it before."""

import json
import os
import pathlib
import subprocess
import sys

AWX = str(pathlib.Path(sys.executable).with_name("awx"))


def awx(token, *words):
    own = {
        "CONTROLLER_HOST": os.environ["SERVER"], "CONTROLLER_OAUTH_TOKEN": token,
        "CONTROLLER_VERIFY_SSL": "false", "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
    }
    told = subprocess.run([AWX, *words], env=own, capture_output=True, text=True)
    return told.stdout, told.returncode


# In the clear, as AWX has it.
told, status = awx("73HNeV53E6p2oYMMAogRn9TIKt92Cf", "me")
assert status == 0 and json.loads(told)["results"][0]["username"] == "tina", told
told, status = awx("73HNeV53E6p2oYMMAogRn9TIKt92Cf", "tokens", "list", "--order_by", "id")
assert [row["description"] for row in json.loads(told)["results"]][:2] == ["of old", "hashed"]
# By its digest, as its successor has it; and it only reads.
told, status = awx("9TIKt92Cf73HNeV53E6p2oYMMAogRn", "me")
assert status == 0, told
assert awx("9TIKt92Cf73HNeV53E6p2oYMMAogRn", "tokens", "create")[1] == 2
# An application's is none of ours.
assert awx("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "me")[1] != 0
