"""Goal: query strings and cursors are read under the same rules as bodies, all faults at once.

Method: strings sent by hand, and properties: what the writers write the readers read, anything else is
refused.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.clock import datetime_of, us_of
from exchange.kit.errors import InvalidInput
from exchange.kit.fields import NameText
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Part, decode_cursor, encode_cursor
from exchange.kit.http_query import decode_query


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One parameter of each kind."""

    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None
    side: Literal["buy", "sell"] | None = None
    live: bool | None = None
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    hub: Annotated[list[NameText], msgspec.Meta(max_length=3)] = []
    since_hour: Annotated[int, msgspec.Meta(ge=-10, le=10)] | None = None


class Needed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parameter that must be given."""

    product: NameText


def faults_of(query: bytes, type_: type[msgspec.Struct] = Filter) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        decode_query(query, type_)
    assert caught.value.code == "invalid_query"
    return [(fault.pointer, fault.code) for fault in caught.value.errors]


def test_nothing_given_gives_the_defaults() -> None:
    assert decode_query(b"", Filter) == Filter()


def test_each_kind_is_read() -> None:
    query = (
        b"limit=7&side=sell&live=true&ratio=0.5&hub=gui+an&hub=%E8%B4%B5%E5%AE%89&since_hour=-3&cursor=a%26b"
    )
    wanted = Filter(
        limit=7, side="sell", live=True, ratio=0.5, hub=["gui an", "贵安"], since_hour=-3, cursor="a&b"
    )
    assert decode_query(query, Filter) == wanted


@pytest.mark.parametrize(
    "query,pointer,code",
    [
        (b"limit=0", "?limit", "out_of_range"),
        (b"limit=1001", "?limit", "out_of_range"),
        (b"limit=ten", "?limit", "wrong_type"),
        (b"limit=", "?limit", "wrong_type"),
        (b"limit=1_0", "?limit", "wrong_type"),
        (b"limit=%2B5", "?limit", "wrong_type"),
        (b"limit=1.0", "?limit", "wrong_type"),
        ("limit=٣".encode(), "?limit", "wrong_type"),
        (b"limit=99999999999999999999999", "?limit", "wrong_type"),
        (b"limit=1&limit=1", "?limit", "repeated"),
        (b"live=1", "?live", "wrong_type"),
        (b"side=hold", "?side", "not_one_of"),
        (b"ratio=nan", "?ratio", "wrong_type"),
        (b"hub=a&hub=b&hub=c&hub=d", "?hub", "too_long"),
        (b"hub=a&hub=", "?hub", "too_short"),
        (b"hub=%00", "?hub", "invalid_text"),
        (b"hub=%ff", "?hub", "invalid_text"),
        (b"Limit=5", "?Limit", "unknown_field"),
        (b"%ff=5", "?\ufffd", "invalid_text"),
        (b"=5", "?", "unknown_field"),
    ],
)
def test_a_bad_parameter_is_named(query: bytes, pointer: str, code: str) -> None:
    assert faults_of(query) == [(pointer, code)]


def test_all_faults_come_at_once() -> None:
    assert faults_of(b"limit=0&side=x&nope=1&live=maybe") == [
        ("?limit", "out_of_range"),
        ("?side", "not_one_of"),
        ("?live", "wrong_type"),
        ("?nope", "unknown_field"),
    ]


def test_a_missing_parameter_is_named() -> None:
    assert faults_of(b"", Needed) == [("?product", "required")]


def test_very_many_parameters_are_refused_unread() -> None:
    assert faults_of(b"&".join([b"a=1"] * 101)) == []


@given(st.binary(max_size=80))
def test_any_query_string_gives_a_struct_or_a_refusal(query: bytes) -> None:
    try:
        assert isinstance(decode_query(query, Filter), Filter)
    except InvalidInput as refusal:
        assert refusal.code == "invalid_query"  # noqa: PT017  (either end is right)


@given(
    st.builds(
        Filter,
        limit=st.integers(1, 1000),
        cursor=st.none()
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50),
        side=st.sampled_from(["buy", "sell", None]),
        live=st.sampled_from([True, False, None]),
        since_hour=st.none() | st.integers(-10, 10),
    )
)
def test_what_is_written_is_read(wanted: Filter) -> None:
    given_values = {
        key: value for key, value in msgspec.structs.asdict(wanted).items() if value not in (None, [])
    }
    texts = {
        key: str(value).lower() if isinstance(value, bool) else value for key, value in given_values.items()
    }
    assert decode_query(urlencode(texts).encode(), Filter) == wanted


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    st.integers(-(2**31), 2**31 - 1),
    st.datetimes(timezones=st.just(UTC)).map(us_of),
)
def test_a_cursor_comes_back(number: int, text: str, hour: int, time_us: int) -> None:
    after = (number, text, hour, time_us)
    kinds = (Part.ID, Part.SLUG, Part.HOUR, Part.TIME_US)
    assert decode_cursor("orders", encode_cursor("orders", *after), *kinds) == after
    assert us_of(datetime_of(time_us)) == time_us


@pytest.mark.parametrize(
    "kind, beyond",
    [
        (Part.ID, (-(2**63) - 1, 2**63, "1")),
        (Part.HOUR, (-(2**31) - 1, 2**31, 2**62, "1")),
        (
            Part.TIME_US,
            (us_of(datetime.min.replace(tzinfo=UTC)) - 1, us_of(datetime.max.replace(tzinfo=UTC)) + 1),
        ),
        (Part.SLUG, ("a\0b", "\0", 1)),
    ],
)
def test_a_part_that_no_row_can_have_is_refused(kind: Part, beyond: tuple[int | str, ...]) -> None:
    for part in beyond:
        with pytest.raises(InvalidInput):
            decode_cursor("orders", encode_cursor("orders", part), kind)


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_cursor("orders", cursor, Part.ID)
    assert [(fault.pointer, fault.code) for fault in caught.value.errors] == [("?cursor", "bad_cursor")]


@pytest.mark.parametrize(
    "cursor",
    [
        encode_cursor("trades", 5),
        encode_cursor("orders", "5"),
        encode_cursor("orders", 5, 6),
        encode_cursor("orders", 2**63),
        encode_cursor("orders"),
    ],
)
def test_a_cursor_of_another_list_or_form_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor("orders", cursor, Part.ID)
