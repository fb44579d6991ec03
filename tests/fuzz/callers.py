"""Who calls each router, and with what, so that calls get somewhere."""

import hashlib
import time

import requests

BOB = "bobbobbobbobbobbobbobbobb2"
DEPLOY = "deploydeploydeploydeploy55"
TINA = "tinatinatinatinatinatinat3"


class Router:
    """A router of the server at this address."""

    #: What a key of a path or body may be given instead of what was drawn.
    names = {}

    def __init__(self, server):
        self.server, self.callers = server, []
        self.live, self.count = [], 0

    def post(self, path, body, headers=None):
        answer = requests.post(self.server + path, json=body, headers=headers)
        assert answer.ok, (path, answer.status_code, answer.text)
        return answer

    def session(self, name):
        """The header of somebody who has signed in on the native face."""
        body = {"username": name, "password": f"{name}-password"}
        token = self.post("/login", body).json()["token"]
        return {"Authorization": f"Bearer {token}"}

    def prepare(self, case, random):
        """Has every other case name what there is. Returns the headers of who calls."""
        if random.random() < 0.5:
            body = case.body if isinstance(case.body, dict) else {}
            for place in (case.path_parameters or {}, body):
                for key in sorted(place.keys() & self.names.keys()):
                    place[key] = self.names[key](self, random)
        return random.choices(self.callers, weights=[8, 1])[0]

    def known(self, random):
        """A token, most of the time a live one."""
        if len(self.live) < 4 or random.random() < 0.2:
            self.count += 1
            self.live.append(self.made())
        return random.choice(self.live[-4:])


class Awx(Router):
    document = "/openapi/awx.json"
    names = {
        "user_id": lambda self, random: random.choice(["1", "2", "bob"]),
        "token_id": Router.known,
        "scope": lambda self, random: random.choice(["read", "write"]),
    }

    def __init__(self, server):
        super().__init__(server)
        self.callers += [self.session("admin"), self.session("bob")]

    def made(self):
        return str(self.post("/api/v2/tokens/", {}, self.callers[0]).json()["id"])


class Mattermost(Router):
    document = "/openapi/mattermost.json"
    names = {
        "user_id": lambda self, random: random.choice(["me", BOB]),
        "token_id": Router.known,
        "term": lambda self, random: random.choice([self.known(random), "bob"]),
        "expires_at": lambda self, random: in_days(random.randrange(1, 40)),
    }

    def __init__(self, server):
        super().__init__(server)
        for name in ("admin", "bob"):
            body = {"login_id": name, "password": f"{name}-password"}
            token = self.post("/api/v4/users/login", body).headers["Token"]
            self.callers.append({"Authorization": f"Bearer {token}"})

    def made(self):
        body = {"description": "made", "expires_at": in_days(1)}
        return self.post("/api/v4/users/me/tokens", body, self.callers[0]).json()["id"]


class Rocketchat(Router):
    """The administrator's session is remembered once it has answered with the password. The other
    caller has a factor to show, and is asked for it."""

    document = "/openapi/rocketchat.json"
    names = {"tokenName": Router.known}

    def __init__(self, server):
        super().__init__(server)
        self.callers.append(self.signed_in("admin"))
        answer = hashlib.sha256(b"admin-password").hexdigest()
        factor = {"x-2fa-method": "password", "x-2fa-code": answer}
        path = "/api/v1/users.generatePersonalAccessToken"
        self.post(path, {"tokenName": "first"}, self.callers[0] | factor)
        self.callers.append(self.signed_in("mia"))

    def signed_in(self, name):
        body = {"user": name, "password": f"{name}-password"}
        data = self.post("/api/v1/login", body).json()["data"]
        return {"X-Auth-Token": data["authToken"], "X-User-Id": data["userId"]}

    def made(self):
        name = f"token {self.count}"
        path = "/api/v1/users.generatePersonalAccessToken"
        self.post(path, {"tokenName": name}, self.callers[0])
        return name


class Native(Router):
    document = "/openapi.json"
    names = {
        "id": Router.known,
        "name": lambda self, random: random.choice(["", "a name"]),
        "note": lambda self, random: random.choice(["", "a note"]),
        "scopes": lambda self, random: random.choice(["full", ["read"]]),
        "addresses": lambda self, random: ["0.0.0.0/0", "::/0"],
        "expires_at": lambda self, random: day(random.randrange(1, 40)),
        "expires_in": lambda self, random: random.randrange(3600, 86_400),
        "not_before": lambda self, random: "2020-01-01T00:00:00Z",
        "why": lambda self, random: "it is known",
        "overlap_seconds": lambda self, random: random.randrange(60),
    }

    def __init__(self, server):
        super().__init__(server)
        self.callers += [self.session("admin"), self.session("bob")]

    def prepare(self, case, random):
        headers = super().prepare(case, random)
        if case.path.startswith("/owners/"):
            case.path_parameters["id"] = TINA
        if case.operation.label == "DELETE /tokens/current":
            # Whoever calls it cannot call again.
            token = self.post("/tokens", {}, self.callers[0]).json()["token"]
            headers = {"Authorization": f"Bearer {token}"}
        return headers

    def made(self):
        return self.post("/tokens", {}, self.callers[0]).json()["id"]


class Zitadel(Router):
    document = "/openapi/zitadel.json"
    names = {
        "user_id": lambda self, random: random.choice([DEPLOY, BOB]),
        "userId": lambda self, random: random.choice([DEPLOY, BOB]),
        "token_id": Router.known,
        "tokenId": Router.known,
        "expirationDate": lambda self, random: day(random.randrange(1, 40)),
        "pagination": lambda self, random: {"limit": random.randrange(5), "asc": True},
        "filters": lambda self, random: [{"tokenIdFilter": {"id": self.known(random)}}],
    }

    def __init__(self, server):
        super().__init__(server)
        self.callers += [self.session("admin"), self.session("deploy")]

    def made(self):
        path = f"/management/v1/users/{DEPLOY}/pats"
        return self.post(path, {}, self.callers[0]).json()["tokenId"]


def day(days):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(in_days(days) // 1000))


def in_days(days):
    """In milliseconds."""
    return (int(time.time()) + days * 86_400) * 1000


ROUTERS = {
    "awx": Awx,
    "mattermost": Mattermost,
    "native": Native,
    "rocketchat": Rocketchat,
    "zitadel": Zitadel,
}
