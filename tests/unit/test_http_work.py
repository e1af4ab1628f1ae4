"""Goal: whatever is wrong with a request, explaining it is bounded work, and others have their turns.

Method: what was slow is counted, not timed: looks at types, looks through a whole body, faults, turns of the
event loop.
"""

import asyncio
from typing import Annotated, Any, NoReturn

import msgspec
import pytest

from exchange.kit import http_faults
from exchange.kit.errors import Faults, InvalidInput, MalformedInput, RateLimited
from exchange.kit.http_decode import VALUES_MAX, Decoder
from exchange.kit.http_faults import EACH_FAULTS_MAX, ITEM_FAULTS_MAX
from exchange.kit.http_query import decode_query
from exchange.kit.tasks import ITEMS_AT_ONCE

MANY = 1_000


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of many."""

    name: Annotated[str, msgspec.Meta(max_length=5)]
    count: Annotated[int, msgspec.Meta(ge=1, le=9)]


class Pieces(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many, each of which is read for itself."""

    pieces: Annotated[list[Piece], msgspec.Meta(max_length=MANY)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing, and what is around it."""

    piece: Piece


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Body(bytes):
    """A body that counts how often it is looked through."""

    looks = 0

    def __contains__(self, part: Any) -> bool:
        self.looks += 1
        return super().__contains__(part)


def body_of(*pieces: dict[str, Any]) -> Body:
    return Body(msgspec.json.encode({"pieces": pieces}))


async def free(_: int) -> None:
    """Let anybody send any number of things."""


async def faults_of(body: bytes) -> list[Faults]:
    _, each = await Decoder(Pieces).decode_each(body, "pieces", Faults(), free)
    return each


@pytest.fixture
async def _types_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every type be used once, and none be examined from then on."""
    await faults_of(body_of({}))
    Decoder(Envelope).decode_part(b'{"piece": {}}', "piece", Faults())
    with pytest.raises(InvalidInput):
        decode_query(b"limit=0", Page)

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a type was examined again")

    monkeypatch.setattr(msgspec.structs, "fields", refuse)
    monkeypatch.setattr(msgspec.inspect, "type_info", refuse)


@pytest.mark.usefixtures("_types_known")
async def test_no_request_has_a_type_examined_again() -> None:
    [found] = await faults_of(body_of({"name": "too long"}))
    assert [fault.pointer for fault in found.faults] == ["/name", "/count"]
    _, found = Decoder(Envelope).decode_part(b'{"piece": {"name": "a"}}', "piece", Faults())
    assert [fault.pointer for fault in found.faults] == ["/count"]
    assert decode_query(b"limit=2", Page) == Page(limit=2)
    with pytest.raises(InvalidInput):
        decode_query(b"limit=0", Page)


async def test_a_body_is_not_looked_through_again_for_each_of_its_items() -> None:
    few, many = body_of({}), body_of(*[{}] * MANY)
    await faults_of(few)
    await faults_of(many)
    assert many.looks == few.looks


@pytest.mark.parametrize("piece", [{}, {"name": "a", "count": 1}])
async def test_items_over_the_budget_are_not_explained(
    piece: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explain(*_: object, **__: object) -> NoReturn:
        raise AssertionError("an item was explained")

    async def charge(count: int) -> None:
        raise RateLimited(detail=str(count))

    monkeypatch.setattr(http_faults, "collect_item", explain)
    with pytest.raises(RateLimited, match=str(MANY)):
        await Decoder(Pieces).decode_each(body_of(*[piece] * MANY), "pieces", Faults(), charge)


async def test_faults_of_an_item_are_bounded_and_say_that_there_may_be_more() -> None:
    unknown = {f"x{number}": number for number in range(ITEM_FAULTS_MAX + 5)}
    [found] = await faults_of(body_of({"name": "a", "count": 1, **unknown}))
    assert len(found) == ITEM_FAULTS_MAX
    assert found.refusal().detail.startswith(f"at least {ITEM_FAULTS_MAX} values break rules")


async def test_faults_of_all_items_are_bounded_and_each_item_has_its_first() -> None:
    unknown = {f"x{number}": number for number in range(ITEM_FAULTS_MAX)}
    each = await faults_of(body_of(*[unknown] * MANY))
    assert {found.faults[0].pointer for found in each} == {"/name"}
    assert sum(len(found) for found in each) <= EACH_FAULTS_MAX + MANY
    assert each[-1].refusal().detail.startswith("at least 1 value breaks a rule: /name is required")


async def test_an_item_whose_first_fault_alone_is_told_keeps_what_is_right_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_faults, "EACH_FAULTS_MAX", 0)
    texts = {"name": "\0", "count": 10}
    body = body_of({"name": 7, "count": 0}, {"name": "too long", "count": 3}, texts, {"count": 3, "x": 1})
    whole, each = await Decoder(Pieces).decode_each(body, "pieces", Faults(), free)
    # What is UNSET, encoding leaves out.
    assert msgspec.to_builtins(whole) == {"pieces": [{}, {"count": 3}, {}, {"count": 3}]}
    assert [len(found) for found in each] == [1, 1, 1, 1]


async def test_others_have_their_turns_while_many_items_are_explained() -> None:
    reading = asyncio.create_task(faults_of(body_of(*[{}] * MANY)))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= MANY // ITEMS_AT_ONCE


@pytest.mark.parametrize("items", ["{}", "[]", "0", f'{{"x":[{",".join("0" * VALUES_MAX)}]}}'])
async def test_a_body_of_too_many_values_is_refused_before_it_is_explained(items: str) -> None:
    count = 1 if len(items) > VALUES_MAX else VALUES_MAX
    many = b'{"pieces": [%s]}' % ",".join([items] * count).encode()
    with pytest.raises(MalformedInput) as refused:
        await faults_of(many)
    assert refused.value.code == "too_many_values"
    with pytest.raises(MalformedInput) as refused:
        Decoder(Envelope).decode_part(many, "piece", Faults())
    assert refused.value.code == "too_many_values"
