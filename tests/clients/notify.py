"""PyPI's apprise, unmodified: notifications that a personal token sends, to both products' faces."""

import hashlib
import os
from urllib.parse import urlparse

import apprise
from rocketchat_API.rocketchat import RocketChat

SERVER = urlparse(os.environ["SERVER"])
BOB = "bobbobbobbobbobbobbobbobb2"

bob = RocketChat("bob", "bob-password", server_url=os.environ["SERVER"])
bob.headers["x-2fa-code"] = hashlib.sha256(b"bob-password").hexdigest()
bob.headers["x-2fa-method"] = "password"
token = bob.call_api_post("users.generatePersonalAccessToken", tokenName="apprise")["token"]


def notify(url, body):
    sender = apprise.Apprise()
    assert sender.add(url), url
    return sender.notify(body=body)


place = f"{SERVER.hostname}:{SERVER.port}/%23town-square"
assert notify(f"rocket://{BOB}:{token}@{place}?mode=token", "by token")
assert notify(f"rocket://bob:bob-password@{place}?mode=basic", "by password")
assert not notify(f"rocket://{BOB}:{token[:-1]}x@{place}?mode=token", "by nothing")
bob.call_api_post("users.removePersonalAccessToken", tokenName="apprise")
assert not notify(f"rocket://{BOB}:{token}@{place}?mode=token", "too late")
