"""PyPI's mattermostautodriver, unmodified: every call that it has for tokens, by its typed driver."""

import base64
import hashlib
import hmac
import os
import struct
import time
from urllib.parse import urlparse

from mattermostautodriver import TypedDriver
from mattermostautodriver.exceptions import (
    InvalidOrMissingParameters,
    NoAccessTokenProvided,
    NotEnoughPermissions,
    ResourceNotFound,
)

SERVER = urlparse(os.environ["SERVER"])
BOB = "bobbobbobbobbobbobbobbobb2"


def totp():
    seed = base64.b32decode("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    digest = hmac.new(seed, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6)


def driver(**options):
    # It would wait for a server that is busy; this one is not.
    made = TypedDriver(
        {
            "url": SERVER.hostname,
            "port": SERVER.port,
            "scheme": "http",
            "max_retries": 0,
            **options,
        }
    )
    made.login()
    return made


def refused(error, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except error:
        return
    raise AssertionError("it was not refused")


# The second factor: without a code, with a wrong one, with the right one.
tina = {"login_id": "tina", "password": "tina-password"}
refused(NoAccessTokenProvided, driver, **tina)
refused(NoAccessTokenProvided, driver, **tina, mfa_token="000000")
assert driver(**tina, mfa_token=totp()).users.get_user("me")["username"] == "tina"

bob = driver(login_id="bob", password="bob-password")
admin = driver(login_id="admin", password="admin-password")
made = bob.users.create_user_access_token("me", "auto")
assert made["user_id"] == BOB and made["expires_at"] == 0, made
auto = driver(token=made["token"])
assert auto.users.get_user("me")["id"] == BOB

seen = bob.users.get_user_access_token(made["id"])
assert seen == {key: value for key, value in made.items() if key != "token"}, seen
assert bob.users.get_user_access_tokens_for_user("me") == [seen]
assert bob.users.get_user_access_tokens_for_user("me", page=1, per_page=1) == []
assert admin.users.get_user_access_tokens() == [seen]
assert admin.users.search_user_access_tokens("bob") == [seen]
refused(NotEnoughPermissions, bob.users.get_user_access_tokens)
refused(NotEnoughPermissions, bob.users.search_user_access_tokens, "bob")

assert bob.users.disable_user_access_token(made["id"]) == {"status": "OK"}
refused(NoAccessTokenProvided, auto.users.get_user, "me")
refused(InvalidOrMissingParameters, bob.users.rotate_user_access_token, made["id"])
assert bob.users.enable_user_access_token(made["id"]) == {"status": "OK"}
assert auto.users.get_user("me")["id"] == BOB

later = int(time.time() * 1000) + 86_400_000
anew = bob.users.rotate_user_access_token(made["id"], later)
assert anew["id"] == made["id"] and anew["expires_at"] == later
refused(NoAccessTokenProvided, auto.users.get_user, "me")
auto = driver(token=anew["token"])

assert admin.users.get_non_compliant_user_access_token_count() == {"count": 0}
refused(InvalidOrMissingParameters, admin.users.revoke_non_compliant_user_access_tokens)

assert bob.users.revoke_user_access_token(made["id"]) == {"status": "OK"}
refused(NoAccessTokenProvided, auto.users.get_user, "me")
refused(ResourceNotFound, bob.users.get_user_access_token, made["id"])
assert bob.users.get_user_access_tokens_for_user("me") == []
assert bob.logout()["status"] == "OK"
