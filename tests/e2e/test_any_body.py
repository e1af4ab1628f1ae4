"""Goal: whatever JSON stands where in a body, the answer names exactly the places that break the schema.

Method: properties over a real socket. A good body of each route has one place, at any depth, replaced by any
JSON, taken out, or joined by another field. An independent validator of the route's own schema says where it
is broken: each of these places must be among the pointers of the answer, and no pointer may name another
place for a fault of form. What no schema can know is refused or taken, but never a failure.

`test_bad_input` tries what is known to be hard; this, what nobody thought of.
"""

import copy
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import ValidationErrorKind as Kind

from tests.e2e.document import BY_SCHEMA, Description
from tests.e2e.good_bodies import BODIES, Good, good
from tests.e2e.served import pointers, problem
from tests.e2e.stage import Stage, staged
from tests.hypothesis_profiles import examples

NOT_ONE_BODY = {"POST /v1/orders/batch", "POST /v1/bench/echo"}
"""The first answers each order for itself, the second asks for no meaning; others take the same orders."""
FAULTS_MAX = 100
GONE = object()

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not x.is_integer()
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
"""Without 7.0, which JSON Schema takes for an integer, and without NUL, of which a schema cannot speak."""


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("any_body"), bench_echo=False) as ready:
        yield ready


@pytest.fixture(scope="module")
async def description(stage: Stage) -> Description:
    return Description(await stage.operator.get("/schema/openapi.json"))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*at, key)
        yield from places(each, (*at, key))


def changed(body: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a body with another value in a place, or without the place."""
    whole = copy.deepcopy(body)
    parent: Any = whole
    for key in at[:-1]:
        parent = parent[key]
    if value is not GONE:
        parent[at[-1]] = value
    elif isinstance(parent, list) or at[-1] in parent:
        del parent[at[-1]]
    return whole


def pointer(path: list[Any]) -> str:
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


def broken(validator: jsonschema_rs.Draft202012Validator, body: Any) -> set[str]:
    """Return the pointers at which a body breaks its schema."""
    found = set()
    for error in validator.iter_errors(body):
        names: list[str | int | None] = [None]
        if isinstance(error.kind, Kind.AdditionalProperties):
            names = list(error.kind.unexpected)
        elif isinstance(error.kind, Kind.Required):
            names = [error.kind.property]
        found |= {pointer([*error.instance_path, *([] if name is None else [name])]) for name in names}
    return found


def is_within(inner: str, outer: str) -> bool:
    return f"{inner}/".startswith(f"{outer}/")


async def changes_of(
    stage: Stage, description: Description, name: str, data: st.DataObject
) -> tuple[Good, Any]:
    """Draw a body: a good one of a route with one place changed."""
    sent = await good(stage, name)
    fields = description.member(description.bodies()[sent.title].body or {}, "object") or {}
    known = [*places(sent.body), *((field,) for field in fields["properties"]), ("no_such_field",)]
    at = data.draw(st.sampled_from(known), label="at")
    value = data.draw(JSON | st.just(GONE), label="value")
    return sent, changed(sent.body, at, value)


@pytest.mark.parametrize("name", [each for each in BODIES if each not in NOT_ONE_BODY])
@examples(25)
@given(data=st.data())
async def test_the_answer_names_the_places_that_break_the_schema(
    stage: Stage, description: Description, name: str, data: st.DataObject
) -> None:
    sent, body = await changes_of(stage, description, name, data)
    schema = {**(description.bodies()[sent.title].body or {}), "components": {"schemas": description.schemas}}
    expected = broken(jsonschema_rs.Draft202012Validator(schema), body)
    answer = await sent.caller.send_text(sent.method, sent.path, json.dumps(body))
    told = f"{json.dumps(body)} breaks {expected}: {answer.status_code} {answer.text}"
    if answer.status_code in {200, 201}:
        assert not expected, told
        return
    refused = problem(answer)
    assert refused["outcome"] == "not_applied", told
    by_schema = {each["pointer"] for each in refused["errors"] if each["code"] in BY_SCHEMA}
    for each in by_schema:
        assert any(is_within(each, place) for place in expected), told
    # Identifiers in a list are read once each item is a text, so one fault may hide others of its list.
    lists = {place: re.sub(r"/[0-9]+$", "", place) for place in expected}
    if expected:
        assert answer.status_code in {400, 422}, told
        named = pointers(refused)
        assert len(named) == FAULTS_MAX or all(
            any(is_within(each, lists[place]) for each in named) for place in expected
        ), told
