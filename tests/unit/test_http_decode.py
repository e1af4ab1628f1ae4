"""Goal: a body is taken exactly when it is right, and otherwise every fault of it is named.

Method: properties. Any bytes give a struct or a refusal; a right body comes back as it was; each way of
breaking a field, several at once, gives exactly the pointers of the broken fields; doubled keys are found as
by a slow oracle.
"""

import asyncio
import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.errors import Fault, Faults, InvalidInput, MalformedInput, Refusal
from exchange.kit.fields import ClientText, CnyText, NameText, TimeText, exact
from exchange.kit.http_decode import Decoder, _keys_are_single, decode, decoder_of
from exchange.kit.http_faults import ITEM_FAULTS_MAX


class Buyer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A struct within a struct."""

    name: NameText
    size_class: Literal["micro", "small"] | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of each kind."""

    client_order_id: ClientText
    quantity_gpus: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    lot_gpus: Annotated[int, msgspec.Meta(ge=0, le=1000, multiple_of=8)] = 8
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    price_cny: CnyText
    starts_at: TimeText
    side: Literal["buy", "sell"]
    post_only: bool = False
    buyer: Buyer
    admitted: Annotated[list[NameText], msgspec.Meta(max_length=5)] = []
    limits: Annotated[
        dict[NameText, Annotated[int, msgspec.Meta(ge=0, le=9)]], msgspec.Meta(max_length=3)
    ] = {}


GOOD: dict[str, Any] = {
    "client_order_id": "a-1",
    "quantity_gpus": 8,
    "lot_gpus": 16,
    "ratio": 0.25,
    "price_cny": "12.35",
    "starts_at": "2026-11-23T09:00:00Z",
    "side": "buy",
    "post_only": True,
    "buyer": {"name": '智算 \\ "x"', "size_class": "small"},
    "admitted": ["a", 'b: ":'],
    "limits": {"h100": 3},
}

# field -> [(bad value, pointer, code, words of the rule)]
BAD: dict[str, list[tuple[Any, str, str, str]]] = {
    "client_order_id": [
        ("a b", "/client_order_id", "pattern", "must be 1 to 64 characters of A-Z a-z 0-9 . _ -"),
        ("a\n", "/client_order_id", "pattern", "must be 1 to 64 characters of A-Z a-z 0-9 . _ -"),
        ("", "/client_order_id", "pattern", "must be 1 to 64 characters of A-Z a-z 0-9 . _ -"),
        (1, "/client_order_id", "wrong_type", "must be a string, not a whole number"),
    ],
    "quantity_gpus": [
        (0, "/quantity_gpus", "out_of_range", "must be from 1 to 1000"),
        (10**400, "/quantity_gpus", "out_of_range", "must be from 1 to 1000"),
        (10**5000, "/quantity_gpus", "out_of_range", "must be from 1 to 1000"),
        ("8", "/quantity_gpus", "wrong_type", "must be a whole number, not a string"),
        (8.0, "/quantity_gpus", "wrong_type", "must be a whole number, not a number"),
        (True, "/quantity_gpus", "wrong_type", "must be a whole number, not true or false"),
        (None, "/quantity_gpus", "wrong_type", "must be a whole number, not null"),
    ],
    "lot_gpus": [(9, "/lot_gpus", "not_a_multiple", "must be a multiple of 8")],
    "ratio": [(1.5, "/ratio", "out_of_range", "must be from 0 to 1")],
    "price_cny": [
        ("12.345", "/price_cny", "pattern", "must be an amount in CNY as a decimal string"),
        (12.35, "/price_cny", "wrong_type", "must be a string, not a number"),
    ],
    "starts_at": [("tomorrow", "/starts_at", "pattern", "must be a time in RFC 3339 form")],
    "side": [
        ("hold", "/side", "not_one_of", "must be one of buy, sell"),
        (["buy"], "/side", "wrong_type", "must be one of buy, sell, not an array"),
    ],
    "post_only": [("yes", "/post_only", "wrong_type", "must be true or false, not a string")],
    "buyer": [
        (
            {"name": "x", "size_class": "huge"},
            "/buyer/size_class",
            "not_one_of",
            "must be one of micro, small",
        ),
        ({"name": "x", "size_class": 3}, "/buyer/size_class", "wrong_type", "micro, small or null"),
        ({"name": ""}, "/buyer/name", "too_short", "must have at least 1 characters"),
        ({}, "/buyer/name", "required", "is required"),
        ({"name": "x", "a/b~c": 1}, "/buyer/a~1b~0c", "unknown_field", "is not a field of this request"),
        ("Acme", "/buyer", "wrong_type", "must be an object, not a string"),
    ],
    "admitted": [
        (["a", "b", 3], "/admitted/2", "wrong_type", "must be a string, not a whole number"),
        (["x" * 201], "/admitted/0", "too_long", "must have at most 200 characters"),
        (["nul \x00"], "/admitted/0", "invalid_text", "must not hold NUL"),
        (["half \ud800"], "/admitted/0", "invalid_text", "must not hold NUL or half a surrogate pair"),
        (["x"] * 6, "/admitted", "too_long", "must have at most 5 items, not 6"),
    ],
    "limits": [
        ({"h100": 10}, "/limits/h100", "out_of_range", "must be from 0 to 9"),
        ({"": 1}, "/limits/", "too_short", "must have at least 1 characters"),
    ],
    "unknown": [(1, "/unknown", "unknown_field", "is not a field of this request")],
}


def faults_of(body: bytes, type_: type[Any] = Sample) -> tuple[Refusal, tuple[Fault, ...]]:
    with pytest.raises(Refusal) as caught:
        decode(body, type_)
    return caught.value, caught.value.errors


def as_json(value: Any) -> bytes:
    # Digits past 4300 are for the caller to send, not for Python to print without being asked.
    text = json.dumps({k: ("@huge@" if isinstance(v, int) and v > 10**4000 else v) for k, v in value.items()})
    return text.replace('"@huge@"', "1" + "0" * 5000).encode()


@pytest.mark.parametrize("indent", [None, 1])
def test_a_right_body_comes_back_as_it_was(indent: int | None) -> None:
    sample = decode(json.dumps(GOOD, indent=indent).encode(), Sample)
    assert msgspec.to_builtins(sample) == GOOD


def test_defaults_fill_what_is_left_out() -> None:
    needed = {
        key: GOOD[key]
        for key in ("client_order_id", "quantity_gpus", "price_cny", "starts_at", "side", "buyer")
    }
    assert decode(as_json(needed), Sample).lot_gpus == 8


CASES = [(field, *case) for field, cases in BAD.items() for case in cases]


@pytest.mark.parametrize(
    "field,value,pointer,code,words", CASES, ids=[f"{case[2]} {case[3]}" for case in CASES]
)
def test_a_broken_field_is_named_with_rule_and_value(
    field: str, value: Any, pointer: str, code: str, words: str
) -> None:
    refusal, faults = faults_of(as_json({**GOOD, field: value}))
    assert isinstance(refusal, InvalidInput)
    assert [(fault.pointer, fault.code) for fault in faults] == [(pointer, code)]
    assert words in faults[0].detail
    msgspec.json.encode(faults)


@given(st.sets(st.sampled_from(sorted(BAD)), min_size=1), st.sets(st.sampled_from(sorted(GOOD))), st.data())
def test_all_faults_are_named_at_once(broken: set[str], left_out: set[str], data: st.DataObject) -> None:
    body = {key: value for key, value in GOOD.items() if key not in left_out}
    wanted = {
        f"/{field.name}"
        for field in msgspec.structs.fields(Sample)
        if field.required and field.name in left_out
    }
    for field in broken:
        value, pointer, _, _ = data.draw(st.sampled_from(BAD[field]))
        body[field] = value
        wanted = {other for other in wanted if other != f"/{field}"} | {pointer}
    _, faults = faults_of(as_json(body))
    assert {fault.pointer for fault in faults} == wanted


@given(st.sets(st.sampled_from(sorted(BAD)), min_size=1), st.data())
def test_fields_at_fault_are_holes_and_the_rest_is_there(broken: set[str], data: st.DataObject) -> None:
    body = dict(GOOD)
    for field in broken:
        body[field] = data.draw(st.sampled_from(BAD[field]))[0]
    faults = Faults()
    sample = decoder_of(Sample).decode_with_holes(as_json(body), faults)
    assert faults
    whole = decode(as_json(GOOD), Sample)
    for name in GOOD:
        assert getattr(sample, name) == (msgspec.UNSET if name in broken else getattr(whole, name))


@pytest.mark.parametrize(
    "body,status,code",
    [
        (b"", 400, "not_json"),
        (b"  ", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b'{"a":1,}', 400, "not_json"),
        (b"{'a':1}", 400, "not_json"),
        (b'{"a":NaN}', 400, "not_json"),
        (b'{"a":-Infinity}', 400, "not_json"),
        (b"\xef\xbb\xbf{}", 400, "not_json"),
        (b'{"a":"\x01"}', 400, "not_json"),
        (b'{"a":"\xff"}', 400, "invalid_encoding"),
        (b'{"a":"\xed\xa0\x80"}', 400, "invalid_encoding"),
        (b"[" * 100_000, 400, "too_deep"),
        (b'{"a":' * 100_000, 400, "too_deep"),
        (b"[" * 40 + b"]" * 40, 400, "too_deep"),
        (b'{"buyer":{"x":1,"x":2}}', 400, "duplicate_key"),
        (b'{"unknown":[{"x":1,"\\u0078":2}]}', 400, "duplicate_key"),
        (b"[]", 422, "invalid_body"),
        (b"null", 422, "invalid_body"),
        (b'"text"', 422, "invalid_body"),
        (b"1e999", 422, "invalid_body"),
        (b"1" * 5000, 422, "invalid_body"),
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes, status: int, code: str) -> None:
    refusal, _ = faults_of(body)
    assert (refusal.status, refusal.code) == (status, code)
    assert refusal.outcome == "not_applied"


def test_a_doubled_key_is_pointed_to() -> None:
    _, faults = faults_of(b'{"buyer":{"x":1,"x":2},"unknown":[{"y":1,"\\u0079":2}]}')
    doubled = {fault.pointer for fault in faults if fault.code == "duplicate_key"}
    assert doubled == {"/buyer/x", "/unknown/0/y"}


def test_a_body_full_of_faults_gets_a_bounded_answer() -> None:
    body = json.dumps({f"{'k' * 300}{index}": index for index in range(5_000)}).encode()
    refusal, faults = faults_of(body)
    assert len(faults) == 100
    assert len(msgspec.json.encode(faults)) < len(body)
    assert isinstance(refusal, InvalidInput)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_struct_or_a_refusal(body: bytes) -> None:
    with pytest.raises((MalformedInput, InvalidInput)):
        decode(body, Sample)


@given(st.dictionaries(st.sampled_from(sorted(BAD)) | st.text(max_size=8), json_values))
def test_any_json_gives_a_struct_or_faults_that_point_to_something(body: dict[str, Any]) -> None:
    faults = Faults()
    decoder_of(Sample).decode_with_holes(json.dumps(body).encode(), faults)
    lacking = {field.name for field in msgspec.structs.fields(Sample) if field.required} - set(body)
    assert bool(faults) or not lacking
    assert all(fault.detail and fault.pointer.startswith("/") for fault in faults.faults)


@st.composite
def texts_with_doubles(draw: st.DrawFn, depth: int = 3) -> str:
    """Draw JSON text with any spacing, in which keys may be doubled at any depth, also by way of escapes."""
    space = st.sampled_from(["", " ", "\n", "\t "])
    scalar = st.one_of(
        json_values.filter(lambda value: not isinstance(value, dict | list)),
        st.sampled_from([":", '":', '\\"']),
    )
    kind = draw(st.sampled_from(["scalar", "list", "object"])) if depth else "scalar"
    if kind == "scalar":
        return json.dumps(draw(scalar), ensure_ascii=draw(st.booleans()))
    items = []
    for _ in range(draw(st.integers(0, 3))):
        item = draw(texts_with_doubles(depth - 1))
        if kind == "object":
            key = draw(st.sampled_from(['"a"', '"\\u0061"', '"b"', '":"', '"\\""', '"{"']))
            item = f"{key}{draw(space)}:{draw(space)}{item}"
        items.append(draw(space) + item)
    body = ",".join(items) + draw(space)
    return f"[{body}]" if kind == "list" else f"{{{body}}}"


@given(texts_with_doubles())
def test_doubled_keys_are_found_as_by_a_slow_oracle(text: str) -> None:
    doubled = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        doubled.append(len(dict(pairs)) != len(pairs))
        return dict(pairs)

    try:
        body = text.encode()
        value = msgspec.json.decode(body)
    except (UnicodeEncodeError, msgspec.DecodeError):
        return  # half surrogates: refused before keys are looked at
    json.loads(text, object_pairs_hook=note)
    assert _keys_are_single(body, value) is not any(doubled)


def test_input_types_must_be_bounded() -> None:
    class Loose(msgspec.Struct):
        number: int
        text: str
        texts: list[NameText]
        dollar: Annotated[str, msgspec.Meta(pattern="^a$")]
        anything: Any

    with pytest.raises(TypeError) as caught:
        decoder_of(Loose)
    for words in (
        "forbid_unknown_fields",
        "Loose.number",
        "Loose.text:",
        "Loose.texts",
        "Loose.dollar",
        "Loose.anything",
    ):
        assert words in str(caught.value)


def test_a_tagged_union_is_checked_as_the_member_it_names() -> None:
    class Cash(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="cash"):
        price_cny: CnyText

    class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="grant"):
        code: Annotated[str, msgspec.Meta(pattern=exact("[a-z]{3}"), description="three letters")]

    class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        by: Cash | Grant

    assert decode(b'{"by":{"kind":"grant","code":"abc"}}', Payment).by == Grant("abc")
    _, faults = faults_of(b'{"by":{"kind":"grant","code":"abcd"}}', Payment)
    assert [(fault.pointer, fault.detail) for fault in faults] == [("/by/code", "must be three letters")]
    _, faults = faults_of(b'{"by":{"kind":"gold"}}', Payment)
    assert [fault.pointer for fault in faults] == ["/by"]


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of many."""

    name: Annotated[str, msgspec.Meta(max_length=5)]
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Pieces(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many, each of which is read for itself."""

    pieces: Annotated[list[Piece], msgspec.Meta(min_length=1, max_length=4)]


async def free(_: int) -> None:
    """Let anybody send any number of things."""


def each_of(body: bytes) -> tuple[list[object], list[set[str]], set[str]]:
    """Read pieces; return them, the pointers of what is wrong with each, and of what is wrong around them."""
    around = Faults()
    whole, faults = asyncio.run(Decoder(Pieces).decode_each(body, "pieces", around, free))
    named = [{fault.pointer for fault in found.faults} for found in faults]
    return list(whole.pieces or ()), named, {fault.pointer for fault in around.faults}


def test_each_item_of_a_list_has_its_own_faults() -> None:
    items = b'{"name": "a"}, {"name": 7, "count": 0, "x": 1}, [], {"name": "b", "name": "b"}'
    body = b'{"pieces": [' + items + b'], "y": 2}'
    pieces, named, around = each_of(body)
    assert pieces[0] == Piece("a")
    assert pieces[2] is msgspec.UNSET
    assert named == [set(), {"/name", "/count", "/x"}, {""}, {"/name"}]
    assert around == {"/y"}


@pytest.mark.parametrize(
    "body, around",
    [
        (b"{}", "/pieces"),
        (b'{"pieces": 7}', "/pieces"),
        (b'{"pieces": []}', "/pieces"),
        (b'{"pieces": [1, 2, 3, 4, 5]}', "/pieces"),
        (b'{"pieces": [{"name": "a"}], "pieces": []}', "/pieces"),
    ],
)
def test_what_is_wrong_around_the_items_is_told_apart(body: bytes, around: str) -> None:
    pieces, _, named = each_of(body)
    assert named == {around}
    assert all(piece == Piece("a") for piece in pieces)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_an_item_is_read_as_it_would_be_alone(item: object) -> None:
    text = msgspec.json.encode(item)
    alone = Faults()
    try:
        Decoder(Piece).decode_with_holes(text, alone)
    except Refusal as refusal:
        alone.extend(refusal.errors)
    [_], [named], around = each_of(b'{"pieces": [' + text + b"]}")
    assert named == {fault.pointer for fault in alone.faults[:ITEM_FAULTS_MAX]}
    assert around == set()


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is judged apart, and what is around it."""

    id: ClientText
    piece: Piece


@pytest.mark.parametrize(
    "body, inside, around",
    [
        (b'{"id": "a", "piece": {"name": "b"}}', set(), set()),
        (b'{"id": "", "piece": {"name": 7, "x": 1}}', {"/name", "/x"}, {"/id"}),
        (b'{"piece": {"name": "b", "name": "c"}, "y": 1}', {"/name"}, {"/id", "/y"}),
        (b'{"id": "a", "id": "b", "piece": {"name": "b"}}', set(), {"/id"}),
        (b'{"id": "a"}', set(), {"/piece"}),
        (b'{"id": "a", "piece": [1]}', set(), {"/piece"}),
        (b'{"id": "a", "piece": {"name": "\\u0000"}}', {"/name"}, set()),
    ],
)
def test_a_part_has_its_own_faults(body: bytes, inside: set[str], around: set[str]) -> None:
    faults = Faults()
    whole, found = Decoder(Envelope).decode_part(body, "piece", faults)
    assert {fault.pointer for fault in found.faults} == inside
    assert {fault.pointer for fault in faults.faults} == around
    if not inside and not around:
        assert whole == Envelope(id="a", piece=Piece("b"))
