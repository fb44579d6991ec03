"""PyPI's rocketchat_API, unmodified: signing in, tokens, second factors, deactivation."""

import base64
import hashlib
import hmac
import os
import struct
import time

from rocketchat_API.APIExceptions.RocketExceptions import (
    RocketApiException,
    RocketAuthenticationException,
)
from rocketchat_API.rocketchat import RocketChat

SERVER = os.environ["SERVER"]
BOB = "bobbobbobbobbobbobbobbobb2"


def totp(by=0):
    seed = base64.b32decode("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    step = struct.pack(">Q", int(time.time()) // 30 + by)
    digest = hmac.new(seed, step, hashlib.sha1).digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6)


def refused(error_type, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except RocketApiException as error:
        assert error.error_type == error_type, (error.error_type, error.error)
        return error
    raise AssertionError("it was not refused")


# A password that is wrong, and one that is right.
try:
    RocketChat("bob", "wrong", server_url=SERVER)
    raise AssertionError("a wrong password signed in")
except RocketAuthenticationException:
    pass
bob = RocketChat("bob", "bob-password", server_url=SERVER)
assert bob.me()["username"] == "bob"
assert bob.info()["success"]

# Making a token takes the password once more.
due = refused("totp-required", bob.call_api_post, "users.generatePersonalAccessToken", tokenName="ci")
bob.headers["x-2fa-code"] = hashlib.sha256(b"bob-password").hexdigest()
bob.headers["x-2fa-method"] = "password"
made = bob.call_api_post("users.generatePersonalAccessToken", tokenName="ci")
refused(
    "error-token-already-exists",
    bob.call_api_post,
    "users.generatePersonalAccessToken",
    tokenName="ci",
)
listed = bob.call_api_get("users.getPersonalAccessTokens")["tokens"]
assert [token["name"] for token in listed] == ["ci"], listed
assert listed[0]["lastTokenPart"] == made["token"][-6:]
assert listed[0]["bypassTwoFactor"] is False

# The token is somebody: it reads and says something.
ci = RocketChat(auth_token=made["token"], user_id=BOB, server_url=SERVER)
assert ci.me()["_id"] == BOB
said = ci.chat_post_message("hello from a token", channel="#town-square")
assert said["message"]["msg"] == "hello from a token"

# Made anew, the old secret is dead.
anew = bob.call_api_post("users.regeneratePersonalAccessToken", tokenName="ci")
refused(None, ci.me)
ci = RocketChat(auth_token=anew["token"], user_id=BOB, server_url=SERVER)
assert ci.me()["username"] == "bob"

# Deactivating the account blocks its tokens and keeps them.
admin = RocketChat("admin", "admin-password", server_url=SERVER)
admin.users_set_active_status(user_id=BOB, active_status=False)
refused(None, ci.me)
try:
    RocketChat("bob", "bob-password", server_url=SERVER)
    raise AssertionError("a deactivated account signed in")
except RocketAuthenticationException:
    pass
admin.users_set_active_status(user_id=BOB, active_status=True)
assert ci.me()["username"] == "bob"

# A gated route of the host, and a token that bypasses.
robot = bob.call_api_post(
    "users.generatePersonalAccessToken", tokenName="robot", bypassTwoFactor=True
)
robot = RocketChat(auth_token=robot["token"], user_id=BOB, server_url=SERVER)
assert robot.users_update(BOB, name="Robert")["user"]["name"] == "Robert"
refused("totp-required", robot.call_api_post, "users.generatePersonalAccessToken", tokenName="x")
refused("totp-required", ci.users_update, BOB, name="Bobby")

# Gone is gone.
assert bob.call_api_post("users.removePersonalAccessToken", tokenName="ci")["success"]
refused(None, ci.me)
refused(
    "error-token-does-not-exists",
    bob.call_api_post,
    "users.removePersonalAccessToken",
    tokenName="ci",
)
assert bob.logout()["status"] == "success"
refused(None, bob.me)
