"""Where the API takes an id: every place of every route, read from its description.

A place is in a path, in a query or somewhere in a body. `put` sends a request with one id there and all else
good, so that what is answered depends on that id alone.
"""

import copy
import itertools
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import httpx
import msgspec

from tests.e2e.document import Description, Operation, Schema
from tests.e2e.good_bodies import Good
from tests.e2e.served import Caller
from tests.e2e.stage import Stage
from tests.stored_state import Rows, rows

UNKNOWN: Final = "7zzzzzzzzzzzz"
"""The letters of ids that nothing has."""
_ID: Final = re.compile(r"an identifier that begins with ([a-z]{3})_")
_USE: Final = re.compile(r'"last_used_\w+": (?:null|"[^"]*")')
ANY_ID: Final = re.compile(r"\b[a-z]{3}_[0-9a-hjkmnp-tv-z]{13}\b")

NOT_KEPT: Final = {
    "alert_position": "the reader of the record for alerts notes there how far it has come",
    "audit_record": "what a regulator asks is itself recorded",
    "report_position": "the record is followed in the follower's own time",
    **dict.fromkeys(
        ("report_trade", "report_bid", "report_refusal", "report_programme", "report_capacity"),
        "the record is followed in the follower's own time",
    ),
    "idempotency_record": "the answer to a batch of claims that claims nothing is kept for its sender",
    "partition_head": "a leader moves it; what it decides is in the journal",
    "partition_lease": "a leader notes there, each second, that it lives",
    "process": "each process tells there, every few seconds, how it stands",
}
"""Tables that may change, and why."""

Key = str | int


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One place for an id of a kind (`prefix`) in the requests of a route."""

    title: str
    where: Literal["path", "query", "body"]
    at: tuple[Key, ...]
    prefix: str

    @property
    def named(self) -> str:
        """The place as faults name it, such as `/rules/provider/admitted`, `?buyer` or `{order_id}`."""
        name = "/".join(str(key) for key in self.at if isinstance(key, str))
        return {"path": f"{{{name}}}", "query": f"?{name}", "body": f"/{name}"}[self.where]


def places(description: Description, prefixes: dict[str, str]) -> Iterator[Place]:
    """Yield every place; `prefixes` has the kind of id of each parameter of a path, KeyError where not."""
    for title, operation in description.operations.items():
        for name in operation.names:
            yield Place(title=title, where="path", at=(name,), prefix=prefixes[name])
        for name, schema in operation.query.items():
            for at, prefix in _within(description, schema):
                yield Place(title=title, where="query", at=(name, *at), prefix=prefix)
        if operation.body is not None:
            for at, prefix in _within(description, operation.body):
                yield Place(title=title, where="body", at=at, prefix=prefix)


def _within(description: Description, schema: Schema) -> Iterator[tuple[tuple[Key, ...], str]]:
    for each in description.alternatives(schema):
        if found := _ID.match(each.get("description", "")):
            yield (), found[1]
        elif each.get("type") == "array":
            yield from (((0, *at), prefix) for at, prefix in _within(description, each["items"]))
        for name, member in each.get("properties", {}).items():
            yield from (((name, *at), prefix) for at, prefix in _within(description, member))


async def put(
    place: Place, operation: Operation, value: str, caller: Caller, ids: dict[str, str], sent: Good | None
) -> httpx.Response:
    """Send a request with an id in a place; where the route takes a body, `sent` has a good one."""
    name = str(place.at[0])
    names = {**ids, name: value} if place.where == "path" else ids
    body = copy.deepcopy(sent.body) if sent is not None else None
    if place.where == "body":
        _set(body, place.at, value)
    return await caller.send(
        operation.method,
        operation.path.format(**names),
        params={name: value} if place.where == "query" else None,
        json=body,
        headers={"X-Request-Id": "matrix"},
    )


def _set(body: Any, at: tuple[Key, ...], value: str) -> None:
    """Set a value deep in a body, making what it lies in; a list in which it lies has one item."""
    for key, inner in itertools.pairwise(at):
        if inner == 0 and not (isinstance(body[key], list) if key in body else False):
            body[key] = [None]
        elif inner != 0 and isinstance(body, dict):
            body.setdefault(key, {})
        body = body[key]
    body[at[-1]] = value


def told(answer: httpx.Response, value: str) -> tuple[int, dict[str, str], bytes]:
    """Return all that an answer tells, but for the time and the id that was sent."""
    headers = {name: text for name, text in answer.headers.items() if name not in {"date", "ratelimit"}}
    return answer.status_code, headers, answer.content.replace(value.encode(), b"<id>")


async def kept_rows(stage: Stage) -> Rows:
    """Return every row that a refused request must leave as it is, but for the latest use of each key."""
    found = await rows(stage.house.exchange.database)
    kept = {table: lines for table, lines in found.items() if table not in NOT_KEPT}
    return kept | {"api_key": frozenset(_USE.sub("", line) for line in found["api_key"])}
