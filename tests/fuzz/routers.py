"""Schemathesis, unmodified, against one router of the example, held against its own description.

    SERVER=http://127.0.0.1:8065 CASES=1000 SEED=1 python routers.py mattermost

Every answer must have a status that is documented for its route, with the content type and the
schema of that status, and none may be 5xx. Every route must have been seen to succeed. Then wrong
answers are planted, one route at a time: the same checks must find them there and nowhere else.
"""

import collections
import json
import os
import random
import sys

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.errors import FailureGroup

from callers import ROUTERS

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


class Run:
    """Calls of a router, and what was wrong with their answers, by route."""

    def __init__(self, router, drawn, planted=None):
        self.router, self.drawn, self.planted = router, drawn, planted
        self.random = random.Random(drawn)
        self.session = requests.Session()
        self.statuses = collections.defaultdict(collections.Counter)
        self.failures = {}
        self.altered = 0

    @property
    def cases(self):
        return sum(counter.total() for counter in self.statuses.values())

    def play(self, operation, count):
        """Calls a route with this many cases, half of them as described and half of them not."""
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            self.drawn += 1

            @seed(self.drawn)
            @settings(
                max_examples=-(-count // 2),
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode))
            def play(case):
                self.call(case)

            try:
                play()
            except Unsatisfiable:
                # Where there is nothing to choose, nothing can be chosen wrongly.
                assert mode == GenerationMode.NEGATIVE

    def call(self, case):
        label = case.operation.label
        headers = self.router.prepare(case, self.random)
        answer = case.call(base_url=self.router.server, session=self.session, headers=headers)
        self.statuses[label][answer.status_code] += 1
        if self.planted and self.planted[0] == label:
            self.altered += self.planted[1](answer)
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failure:
            self.failures.setdefault(label, str(failure))


def fuzz(router, operations, cases, drawn):
    run = Run(router, drawn)
    rounds = 0
    while run.cases < cases and rounds < 20:
        # A request with nothing to choose is one case, however many are asked for.
        left = cases - run.cases
        for operation in operations:
            run.play(operation, -(-left // len(operations)))
        rounds += 1
    for label, counter in sorted(run.statuses.items()):
        print(f"  {label}: {dict(sorted(counter.items()))}")
    print(f"{run.cases} cases, seed {drawn}")
    for label, failure in run.failures.items():
        print(f"{label} is not as described:\n{failure}")
    assert not run.failures, sorted(run.failures)
    assert run.cases >= cases, f"{run.cases} of {cases} cases were run"
    for operation in operations:
        described = {status for status in operation.responses.status_codes if status[0] == "2"}
        seen = {str(status) for status in run.statuses[operation.label]}
        assert not described or described & seen, f"{operation.label} never succeeded: {seen}"


def changed(change):
    """Plants a body in which an object, or the first of a list, is changed."""

    def plant(answer):
        try:
            body = json.loads(answer.content)
        except ValueError:
            return False
        target = body[0] if isinstance(body, list) and body else body
        if not isinstance(target, dict):
            return False
        change(target, next(iter(target)))
        answer.content = json.dumps(body).encode()
        return True

    return plant


def broken(answer):
    answer.status_code = 500
    return True


def other_type(answer):
    answer.headers["content-type"] = ["text/html"]
    return bool(answer.content)


PLANTS = {
    "a key is missing": changed(lambda body, key: body.pop(key)),
    "a key too many": changed(lambda body, key: body.update(planted=1)),
    "a value of another type": changed(lambda body, key: body.update({key: [[]]})),
    "another content type": other_type,
    "a server's error": broken,
}


def plants(router, operations, drawn):
    """Each route in turn answers wrongly in each way, among all others that answer rightly."""
    caught = 0
    for operation in operations:
        for name, plant in PLANTS.items():
            run = Run(router, drawn, (operation.label, plant))
            run.play(operation, 6)
            assert run.altered, f"{name} was not planted on {operation.label}"
            assert operation.label in run.failures, f"{name} on {operation.label} was not caught"
            caught += 1
        run = Run(router, drawn, (operation.label, broken))
        for each in operations:
            run.play(each, 2)
        assert set(run.failures) == {operation.label}, f"{operation.label}: {run.failures}"
    print(f"{caught} planted answers, all caught")


def main():
    name, cases, drawn = sys.argv[1], int(os.environ["CASES"]), int(os.environ["SEED"])
    router = ROUTERS[name](os.environ["SERVER"])
    schema = schemathesis.openapi.from_dict(requests.get(router.server + router.document).json())
    schema.validate()
    operations = [operation.ok() for operation in schema.get_all_operations()]
    print(f"{name}: {len(operations)} routes")
    fuzz(router, operations, cases, drawn)
    plants(router, operations, drawn)


main()
