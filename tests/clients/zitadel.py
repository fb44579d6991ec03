"""PyPI's zitadel-client, unmodified: tokens, who they are, filters, deactivation."""

import datetime
import json
import os
import urllib.request

from zitadel_client.exceptions import ApiError
from zitadel_client.models import (
    UserServiceAddPersonalAccessTokenRequest as Add,
    UserServiceIDFilter as IdFilter,
    UserServiceListPersonalAccessTokensRequest as Search,
    UserServicePaginationRequest as Page,
    UserServicePersonalAccessTokenFieldName as Column,
    UserServicePersonalAccessTokensSearchFilter as Filter,
    UserServiceRemovePersonalAccessTokenRequest as Remove,
    UserServiceTimestampFilter as TimestampFilter,
    UserServiceTimestampFilterMethod as Method,
)
from zitadel_client.zitadel import Zitadel

SERVER = os.environ["SERVER"]
DEPLOY = "deploydeploydeploydeploy55"
BOB = "bobbobbobbobbobbobbobbobb2"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def call(path, token="", body=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SERVER + path, data, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def client(token):
    return Zitadel.with_access_token(SERVER, token)


def days(count):
    return NOW + datetime.timedelta(days=count)


def add(by, user=DEPLOY, expires=1):
    request = Add(user_id=user, expiration_date=days(expires))
    return by.users.add_personal_access_token(request)


def remove(by, token, user=DEPLOY):
    request = Remove(user_id=user, token_id=token)
    return by.users.remove_personal_access_token(request)


def found(by, **search):
    answer = by.users.list_personal_access_tokens(Search(**search))
    return [token.id for token in answer.result or []], answer.pagination


def refused(status, id, do, *arguments):
    try:
        do(*arguments)
    except ApiError as error:
        body = error.response_body
        told = json.loads(body) if isinstance(body, (str, bytes)) else body
        assert error.code == status, (error.code, told)
        assert f"({id})" in told["message"], told
        return
    raise AssertionError("it was not refused")


# An administrator makes tokens for the service account, and for nobody else.
session = call("/login", body={"username": "admin", "password": "admin-password"})["token"]
admin = client(session)
first, second = add(admin, expires=3), add(admin, expires=2)
assert first.token_id != second.token_id and first.creation_date.tzinfo
refused(400, "COMMAND-Df2f1", add, admin, BOB)
refused(400, "COMMAND-Dggw2", add, admin, "nobody")
refused(400, "DOMAIN-dv3t5", lambda: add(admin, expires=-1))

# A token is the account, and makes and sees its own.
own = client(first.token)
assert call("/auth/v1/users/me", first.token)["user"]["id"] == DEPLOY
assert call("/oidc/v1/userinfo", first.token)["sub"] == DEPLOY
third = add(own)
assert call("/auth/v1/users/me", third.token)["user"]["userName"] == "deploy"
refused(403, "AUTH-AWfge", add, own, BOB)
assert found(own)[0] == [third.token_id, second.token_id, first.token_id]

# Found newest first, by any column, by pages, and by what is asked of them.
ids, page = found(admin)
assert ids[:3] == [third.token_id, second.token_id, first.token_id]
assert (page.total_result, page.applied_limit) == ("3", "100"), page
by_expiry = Column.PERSONAL_ACCESS_TOKEN_FIELD_NAME_EXPIRATION_DATE
ids, _ = found(admin, sorting_column=by_expiry, pagination=Page(asc=True, limit=2))
assert ids == [third.token_id, second.token_id], ids
ids, page = found(admin, pagination=Page(offset=2, limit=2))
assert (ids, page.total_result, page.applied_limit) == ([first.token_id], "3", "2")
for filter, expected in [
    (Filter(token_id_filter=IdFilter(id=second.token_id)), [second.token_id]),
    (Filter(user_id_filter=IdFilter(id=BOB)), []),
    (Filter(organization_id_filter=IdFilter(id="elsewhere")), []),
    (
        Filter(
            expiration_date_filter=TimestampFilter(
                timestamp=days(2), method=Method.TIMESTAMP_FILTER_METHOD_AFTER
            )
        ),
        [first.token_id],
    ),
]:
    ids, _ = found(admin, filters=[filter])
    assert ids == expected, (filter, ids)
refused(400, "QUERY-4M0fs", lambda: found(admin, pagination=Page(limit=1001)))

# A deactivated account's tokens sleep, and it gets no others.
call(f"/management/v1/users/{DEPLOY}/_deactivate", session, {})
refused(401, "APP-BxUSiL", found, own)
refused(400, "COMMAND-notActive", add, admin)
call(f"/management/v1/users/{DEPLOY}/_reactivate", session, {})
assert len(found(own)[0]) == 3

# Removed is gone, by whomever.
assert remove(own, third.token_id).deletion_date
refused(404, "COMMAND-4m77G", remove, own, third.token_id)
refused(404, "COMMAND-4m77G", remove, admin, first.token_id, BOB)
remove(admin, first.token_id)
refused(401, "APP-BxUSiL", found, own)
assert found(client(second.token))[0] == [second.token_id]
refused(401, "APP-Reb32", found, client("nonsense"))
