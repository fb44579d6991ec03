"""Tokens of both products' own tables, presented by the clients that had them before."""

import hashlib
import os
from urllib.parse import urlparse

from mattermostdriver import Driver
from mattermostdriver.exceptions import NoAccessTokenProvided
from rocketchat_API.APIExceptions.RocketExceptions import RocketApiException
from rocketchat_API.rocketchat import RocketChat

SERVER = urlparse(os.environ["SERVER"])
BOB = "bobbobbobbobbobbobbobbobb2"


def driver(token):
    made = Driver({"url": SERVER.hostname, "port": SERVER.port, "scheme": "http", "token": token})
    made.login()
    return made


# Mattermost's: the same text, the same id, the same description.
ci = driver("hf3k9xqjm7gdupb5ecnsw8yrot")
assert ci.client.userid == BOB
seen = ci.users.get_user_access_token("8wx7skx8qbbtdyq1w5zj3fmumh")
assert (seen["description"], seen["is_active"]) == ("ci of old", True), seen
listed = ci.client.get("/users/me/tokens")
assert [token["description"] for token in listed] == ["ci of old", "paused", "phone"], listed
try:
    driver("jd5ok1nxuqgp8f3e6msyw4rtch")
    raise AssertionError("a token that was disabled there works here")
except NoAccessTokenProvided:
    pass
ci.users.enable_personal_access_token({"token_id": listed[1]["id"]})
assert driver("jd5ok1nxuqgp8f3e6msyw4rtch").client.userid == BOB

# Rocket.Chat's: the same text, the same name, the same last characters.
TEXT = "RScctEHSmLGZGywfIhWyRpyofhKOiMoUIpimhvheU3f"
phone = RocketChat(auth_token=TEXT, user_id=BOB, server_url=os.environ["SERVER"])
assert phone.me()["username"] == "bob"
tokens = phone.call_api_get("users.getPersonalAccessTokens")["tokens"]
mine = [token for token in tokens if token["name"] == "phone"]
assert [(token["lastTokenPart"], token["createdAt"]) for token in mine] == [
    ("vheU3f", "2018-08-01T17:17:48.068Z")
], tokens
phone.headers["x-2fa-code"] = hashlib.sha256(b"bob-password").hexdigest()
phone.headers["x-2fa-method"] = "password"
phone.call_api_post("users.removePersonalAccessToken", tokenName="phone")
try:
    phone.me()
    raise AssertionError("a removed token works")
except RocketApiException:
    pass
