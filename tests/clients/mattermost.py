"""PyPI's mattermostdriver, unmodified: signing in, tokens, a message, deactivation."""

import base64
import hashlib
import hmac
import os
import struct
import time
from urllib.parse import urlparse

from mattermostdriver import Driver
from mattermostdriver.exceptions import (
    NoAccessTokenProvided,
    NotEnoughPermissions,
    ResourceNotFound,
)

SERVER = urlparse(os.environ["SERVER"])
BOB = "bobbobbobbobbobbobbobbobb2"
TOWN_SQUARE = "townsquaretownsquaretownsq"


def driver(**options):
    made = Driver({"url": SERVER.hostname, "port": SERVER.port, "scheme": "http", **options})
    made.login()
    return made


def refused(error, call, *arguments):
    try:
        call(*arguments)
    except error:
        return
    raise AssertionError("it was not refused")


def totp():
    seed = base64.b32decode("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    digest = hmac.new(seed, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6)


# A wrong password, a second factor that is missing or wrong, and the right one.
refused(NoAccessTokenProvided, lambda: driver(login_id="bob", password="wrong"))
tina = {"login_id": "tina", "password": "tina-password"}
refused(NoAccessTokenProvided, lambda: driver(**tina))
refused(NoAccessTokenProvided, lambda: driver(**tina, mfa_token="000000"))
tina = driver(**tina, mfa_token=totp())
assert tina.users.get_user("me")["username"] == "tina"
bob = driver(login_id="bob", password="bob-password")
assert bob.users.get_user("me")["username"] == "bob"
assert bob.client.get("/config/client?format=old")["EnableUserAccessTokens"] == "true"

# A token that never expires, and one that does.
made = bob.users.create_user_access_token("me", {"description": "ci"})
assert made["user_id"] == BOB and made["is_active"] and made["expires_at"] == 0
later = int(time.time() * 1000) + 86_400_000
short = bob.users.create_user_access_token(BOB, {"description": "short", "expires_at": later})
assert short["expires_at"] == later
refused(
    Exception,
    bob.users.create_user_access_token,
    "me",
    {"description": "past", "expires_at": 1},
)

# It is somebody, and says something.
ci = driver(token=made["token"])
assert ci.client.userid == BOB
posted = ci.posts.create_post({"channel_id": TOWN_SQUARE, "message": "hello from a token"})
assert posted["message"] == "hello from a token"
assert posted["id"] in bob.posts.get_posts_for_channel(TOWN_SQUARE)["posts"]

# Seen without its secret, disabled, enabled.
seen = bob.users.get_user_access_token(made["id"])
assert "token" not in seen and seen["description"] == "ci", seen
listed = bob.client.get("/users/me/tokens")
assert [token["description"] for token in listed] == ["ci", "short"], listed
bob.users.disable_personal_access_token({"token_id": made["id"]})
refused(NoAccessTokenProvided, ci.users.get_user, "me")
bob.users.enable_personal_access_token({"token_id": made["id"]})
assert ci.users.get_user("me")["id"] == BOB

# A token makes another one of its owner, and is given a new secret.
cycled = ci.users.create_user_access_token("me", {"description": "cycled"})
assert driver(token=cycled["token"]).client.userid == BOB
rotated = bob.client.post("/users/tokens/rotate", {"token_id": made["id"]})
refused(NoAccessTokenProvided, ci.users.get_user, "me")
ci = driver(token=rotated["token"])

# Searching is for administrators; they find it, deactivate its owner, and let him come back.
refused(NotEnoughPermissions, bob.users.search_tokens, {"term": "bob"})
admin = driver(login_id="admin", password="admin-password")
found = admin.users.search_tokens({"term": "bob"})
assert [token["id"] for token in found] == [made["id"], short["id"], cycled["id"]], found
admin.users.update_user_active_status(BOB, {"active": False})
refused(NoAccessTokenProvided, ci.users.get_user, "me")
admin.users.update_user_active_status(BOB, {"active": True})
assert ci.users.get_user("me")["id"] == BOB

# Revoked is gone; the one that it has made lives on.
bob.client.post("/users/tokens/revoke", {"token_id": made["id"]})
refused(NoAccessTokenProvided, ci.users.get_user, "me")
refused(ResourceNotFound, bob.users.get_user_access_token, made["id"])
assert driver(token=cycled["token"]).client.userid == BOB
bob.logout()
