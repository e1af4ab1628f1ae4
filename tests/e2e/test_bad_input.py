"""Goal: no body makes the exchange fail, act, or be silent about what is wrong with it.

Method: over a real socket, bad bodies made from the API's own description: for every field of every route
each wrong type, bound and form (`bad_values`), each sent as the one fault of a body that is good otherwise
(`good_bodies`). A route without a good body fails the test, so that none is forgotten. The answer must be a
whole problem that points to the field, and no table may have another row.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from exchange.kit.http_app import BODY_BYTES_MAX
from tests.e2e.bad_values import MEANINGS, NO_OBJECTS, UNREADABLE, BadValue, bad_fields, object_of
from tests.e2e.document import Description
from tests.e2e.good_bodies import BODIES, Good, good, route_of
from tests.e2e.served import pointers, problem
from tests.e2e.stage import Stage, staged
from tests.hypothesis_profiles import sampled

BATCH = "POST /v1/orders/batch"  # whose orders are answered each for itself
ECHO = "POST /v1/bench/echo"  # reads an order's form, and never asks what it means


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("bad_input")) as ready:
        yield ready


@pytest.fixture(scope="module")
async def description(stage: Stage) -> Description:
    return Description(await stage.operator.get("/schema/openapi.json"))


async def test_no_route_with_a_body_is_forgotten(description: Description) -> None:
    assert set(description.bodies()) == {route_of(name) for name in BODIES}


@pytest.mark.parametrize("name", BODIES)
async def test_each_fault_of_a_field_is_named_and_nothing_happens(
    stage: Stage, description: Description, name: str
) -> None:
    sent = await good(stage, name)
    schema = description.bodies()[sent.title].body
    assert schema is not None
    done = set() if name == sent.title else set((await good(stage, sent.title)).body)
    before = await stage.house.rows()
    wrong = []
    tried = 0
    for bad in sampled(bad_fields(description, schema, sent.body)):
        if (not bad.by_schema and sent.title == ECHO) or bad.below.split("/")[1] in done:
            continue
        tried += 1
        answer = await sent.caller.send_text(sent.method, sent.path, bad.text)
        if complaint := complaint_of(answer, bad):
            wrong.append(complaint)
    assert not wrong, "\n".join(wrong)
    assert tried >= 10
    assert await stage.house.rows() == before


def complaint_of(answer: httpx.Response, bad: BadValue) -> str | None:
    """Say what is wrong with the answer to a bad body."""
    sent = f"{bad.below}: {bad.text[:300]} -> {answer.status_code} {answer.text[:300]}"
    if answer.status_code == 200 and bad.below.startswith("/orders/0"):
        answer, bad = outcome_alone(answer), msgspec.structs.replace(bad, below=bad.below[9:])
    try:
        body = problem(answer)
    except AssertionError:
        return sent
    named = pointers(body)
    if body["outcome"] != "not_applied":
        return sent
    if bad.by_schema:
        return None if answer.status_code in {400, 422} and bad.below in named else sent
    if answer.status_code in {400, 404}:
        return None
    related = any(
        pointer and (f"{bad.below}/".startswith(f"{pointer}/") or pointer.startswith(bad.below))
        for pointer in named
    )
    return None if answer.status_code == 422 and related else sent


def outcome_alone(answer: httpx.Response) -> httpx.Response:
    """Return what the one order of a batch came to as if it had been sent alone."""
    [outcome] = answer.json()["data"]
    alone = outcome["order"] or outcome["problem"]
    headers = {
        "content-type": "application/problem+json" if outcome["problem"] else "application/json",
        "x-request-id": answer.headers["x-request-id"],
    }
    return httpx.Response(outcome["status"], json=alone, headers=headers, request=answer.request)


@pytest.mark.parametrize("name", sampled(BODIES))
async def test_all_faulty_fields_are_named_in_one_answer(
    stage: Stage, description: Description, name: str
) -> None:
    sent = await good(stage, name)
    schema = description.bodies()[sent.title].body
    assert schema is not None
    fields = description.member(schema, "object")
    assert fields is not None
    names = fields["properties"]
    broken = dict.fromkeys(names, "1.5") | {"no_such_field": "1"}
    before = await stage.house.rows()
    body = problem(await sent.caller.send_text(sent.method, sent.path, object_of(broken)), 422)
    assert pointers(body) == {f"/{field}" for field in broken}
    # A text without meaning is found after types are, and both must be told together.
    for bad in bad_fields(description, schema, sent.body):
        top = bad.below.split("/")[1]
        if bad.by_schema or sent.title == ECHO or top not in names or len(bad.text) > 2_000:
            continue
        texts = {**broken, top: json.dumps(json.loads(bad.text)[top])}
        if "kind" in texts and name.startswith("POST /v1/participants"):
            texts["kind"] = json.dumps(sent.body["kind"])  # which facts are asked for depends on it
        answer = await sent.caller.send_text(sent.method, sent.path, object_of(texts))
        found = pointers(problem(answer))
        assert {f"/{field}" for field in names if field not in {top, "kind"}} <= found, bad.text
        assert any(each.startswith(f"/{top}") for each in found), bad.text
    assert await stage.house.rows() == before


@pytest.mark.parametrize("name", sampled(BODIES))
async def test_bodies_that_are_no_json_object_are_refused(stage: Stage, name: str) -> None:
    sent = await good(stage, name)
    before = await stage.house.rows()
    for title, content in UNREADABLE.items():
        answer = await sent.caller.send_text(sent.method, sent.path, content)
        assert problem(answer, 400)["code"] in {"not_json", "invalid_encoding", "too_deep"}, title
    for text in NO_OBJECTS:
        body = problem(await sent.caller.send_text(sent.method, sent.path, text), 422, "invalid_body")
        assert pointers(body) == {""}, text
    assert await stage.house.rows() == before


@pytest.mark.parametrize("name", sampled(BODIES))
async def test_large_bodies_and_other_formats_are_refused(stage: Stage, name: str) -> None:
    sent = await good(stage, name)
    text = json.dumps(sent.body).encode()
    large = text + b" " * (BODY_BYTES_MAX + 1 - len(text))
    before = await stage.house.rows()

    async def pieces() -> AsyncIterator[bytes]:
        yield large[:-1]
        yield large[-1:]

    for content in (large, pieces()):
        answer = await sent.caller.send(
            sent.method, sent.path, content=content, headers={"Content-Type": "application/json"}
        )
        assert str(BODY_BYTES_MAX) in problem(answer, 413, "body_too_large")["detail"]
    for content_type in (
        *("text/plain", "text/json", "application/x-www-form-urlencoded", "application/xml"),
        *("application/json; charset=latin-1", "application/jsonx", "*/*", "json"),
        "multipart/form-data; boundary=x",
    ):
        answer = await sent.caller.send(
            sent.method, sent.path, content=text, headers={"Content-Type": content_type}
        )
        problem(answer, 415, "unsupported_media_type")
    assert await stage.house.rows() == before


def test_every_post_is_safe_to_repeat(description: Description) -> None:
    keyless = {
        title
        for title, each in description.operations.items()
        if each.method == "POST" and each.headers != ("Idempotency-Key",)
    }
    # Orders have client_order_ids, an outage its lease and hour; a switch that is set again is put off;
    # an echo and a question have no effect; a login is nobody's yet, and each is a session of its own.
    assert keyless == {
        ECHO,
        BATCH,
        "POST /v1/capacity/import",
        "POST /v1/leases/{lease_id}/outages",
        "POST /v1/orders",
        "POST /v1/orders/cancel-all-after",
        "POST /v1/orders/preview",
        "POST /v1/oversight/alert-rules/backtest",
        "POST /v1/session",
        "POST /v1/vouchers/eligibility",
    }
    assert description.operations["PATCH /v1/orders/{order_id}"].headers == ("Idempotency-Key",)


@pytest.mark.parametrize("name", sampled(BODIES))
async def test_posts_need_a_fit_idempotency_key(stage: Stage, description: Description, name: str) -> None:
    sent = await good(stage, name)
    if "Idempotency-Key" not in description.operations[sent.title].headers:
        return
    before = await stage.house.rows()
    for key in ("", "a b", "x" * 201, "ü".encode(), b"\x80"):
        answer = await sent.caller.send(
            sent.method, sent.path, json=sent.body, headers={"Idempotency-Key": key}
        )
        assert pointers(problem(answer, 400, "invalid_header")) == {"Idempotency-Key"}
    headers = {"Authorization": f"Bearer {sent.caller.key}"}
    answer = await sent.caller.http.request(sent.method, sent.path, json=sent.body, headers=headers)
    problem(answer, 400, "idempotency_key_missing")
    assert await stage.house.rows() == before


async def test_every_meaning_is_tried(description: Description) -> None:
    used = {
        meaning
        for each in description.bodies().values()
        for meaning in MEANINGS
        if each.body is not None and meaning in json.dumps(resolved(description, each.body))
    }
    assert used == set(MEANINGS)


def resolved(description: Description, schema: Any) -> Any:
    """Return a schema with its references put in place."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return resolved(description, description.schemas[schema["$ref"].rpartition("/")[2]])
        return {name: resolved(description, value) for name, value in schema.items()}
    return [resolved(description, each) for each in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("name", BODIES)
async def test_the_good_bodies_are_good(stage: Stage, name: str) -> None:
    """Last in its file, because it changes things: else the faults found might be others than those meant."""
    sent: Good = await good(stage, name)
    answer = await sent.caller.send(sent.method, sent.path, json=sent.body)
    assert answer.status_code in {200, 201}, answer.text
