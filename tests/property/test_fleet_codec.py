"""Goal: what an engine reads is what its gateway wrote, and the other way.

Method: drawn structs, there and back.
Every field of every request and outcome is drawn by its type, so that one that is added cannot be forgotten.
"""

import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from exchange.fleet import codec
from exchange.kit.errors import Fault
from exchange.orders import models, outcomes
from exchange.orders.outcomes import Outcome
from exchange.products.models import ProductSpec
from tests.hypothesis_profiles import examples

REQUESTS: Final = (
    models.PlaceRequest,
    models.CancelRequest,
    models.CancelAllRequest,
    models.AmendRequest,
    models.PhaseRequest,
)
OUTCOMES: Final = (
    outcomes.Placed,
    outcomes.Duplicate,
    outcomes.Cancelled,
    outcomes.AllCancelled,
    outcomes.Amended,
    outcomes.AmendedBefore,
    outcomes.Refused,
    outcomes.PhaseSet,
)
LONG = 2**63 - 1
TEXTS = st.sampled_from(["", "text", "价格", "\x00", "x" * 40])
MASKS = st.sampled_from([0, 1, 1 << 63, 1 << 64, 1 << 200])
FAULTS = st.builds(
    Fault, TEXTS, TEXTS, TEXTS, st.sampled_from([msgspec.UNSET, None, True, 3, 1.5, "text", -(2**63)])
)
REFUSALS = st.builds(
    lambda name, *told: codec.REFUSALS[name](
        *told[:2], errors=told[2], retryable=told[3], outcome=told[4], headers=told[5]
    ),
    st.sampled_from(sorted(codec.REFUSALS)),
    st.sampled_from(["not_found", "x"]),
    TEXTS,
    st.lists(FAULTS, max_size=3),
    st.booleans(),
    st.sampled_from(["not_applied", "applied", "unknown"]),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
)


def integers(node: inspect.IntType) -> st.SearchStrategy[int]:
    edges = [-LONG if node.ge is None else node.ge, LONG if node.le is None else node.le]
    return st.sampled_from([*edges, *(each for each in (0, 1, 300) if edges[0] <= each <= edges[1])])


def texts(node: inspect.StrType) -> st.SearchStrategy[str]:
    return TEXTS if node.pattern is None else st.from_regex(node.pattern, fullmatch=True)


def structs(node: inspect.StructType) -> st.SearchStrategy[Any]:
    if node.cls is models.LiveOrder:
        return fields_drawn(models.LiveOrder, funded=st.none(), is_mask=MASKS)
    return fields_drawn(node.cls)


BY_TYPE: Final[dict[type, Callable[[Any], st.SearchStrategy[Any]]]] = {
    inspect.Metadata: lambda node: drawn(node.type),
    inspect.UnionType: lambda node: st.one_of(*(drawn(each) for each in node.types)),
    inspect.StructType: structs,
    inspect.IntType: integers,
    inspect.StrType: texts,
    inspect.EnumType: lambda node: st.sampled_from(list(node.cls)),
    inspect.LiteralType: lambda node: st.sampled_from(node.values),
    inspect.ListType: lambda node: st.lists(
        drawn(node.item_type), min_size=node.min_length or 0, max_size=min(2, node.max_length or 2)
    ),
    inspect.VarTupleType: lambda node: st.lists(drawn(node.item_type), max_size=2).map(tuple),
    inspect.TupleType: lambda node: st.tuples(*(drawn(each) for each in node.item_types)),
    inspect.BytesType: lambda _: st.binary(max_size=8),
    inspect.BoolType: lambda _: st.booleans(),
    inspect.NoneType: lambda _: st.none(),
    inspect.DateType: lambda _: st.sampled_from([dt.date(1900, 1, 1), dt.date(2026, 11, 28)]),
}


def drawn(node: inspect.Type) -> st.SearchStrategy[Any]:
    """Return values of a type."""
    return BY_TYPE[type(node)](node)


def fields_drawn(kind: Any, **chosen: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return structs of a kind with fields drawn by their types, but for those that are chosen."""
    return st.builds(
        kind,
        **{
            each.name: chosen[each.name] if each.name in chosen else drawn(inspect.type_info(each.type))
            for each in msgspec.structs.fields(kind)
        },
    )


PRODUCTS: Final = st.shared(
    st.lists(fields_drawn(ProductSpec), min_size=1, max_size=2, unique_by=lambda each: each.id),
    key="products",
)
CHOSEN: Final = {
    models.PlaceRequest: {
        "product": PRODUCTS.flatmap(st.sampled_from),
        "is_mask": MASKS,
        "needs_mask": MASKS,
    },
    models.AmendRequest: {"product": PRODUCTS.flatmap(st.sampled_from), "is_mask": MASKS},
    outcomes.Refused: {"refusal": REFUSALS},
}
NUMBERS: Final = st.integers(0, LONG)


def of_kinds(kinds: Sequence[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(*(fields_drawn(kind, **CHOSEN.get(kind, {})) for kind in kinds))


def told(outcome: Outcome) -> Any:
    """Return an outcome so that equal ones are equal: a refusal is an exception."""
    if not isinstance(outcome, outcomes.Refused):
        return outcome
    return type(outcome.refusal), vars(outcome.refusal), outcome.refusal.args


def test_every_request_and_outcome_is_tried() -> None:
    assert set(REQUESTS) == set(get_args(models.Request))
    assert set(OUTCOMES) == set(get_args(outcomes.Outcome))


@examples(100)
@given(PRODUCTS, TEXTS, st.lists(st.tuples(NUMBERS, of_kinds(REQUESTS)), max_size=4))
def test_requests_come_as_they_went(
    products: list[ProductSpec], gateway: str, requests: list[tuple[int, models.Request]]
) -> None:
    written = [(number, codec.write_request(request)) for number, request in requests]
    letters = codec.read_letters(codec.write_letters(gateway, written))
    by_id = {product.id: product for product in products}
    assert letters.gateway == gateway
    assert letters.is_readable
    assert [(number, codec.read_request(raw, by_id)) for number, raw in letters.requests] == requests


@examples(100)
@given(st.lists(st.tuples(NUMBERS, of_kinds(OUTCOMES)), max_size=4))
def test_outcomes_come_as_they_went(answers: list[tuple[int, Outcome]]) -> None:
    read = codec.read_answers(codec.write_answers(answers))
    assert [(number, told(outcome)) for number, outcome in read] == [
        (number, told(outcome)) for number, outcome in answers
    ]


@examples(200)
@given(st.binary(max_size=40))
def test_what_nobody_wrote_is_told_as_that(data: bytes) -> None:
    for read in (codec.read_letters, codec.read_answers):
        with contextlib.suppress(codec.Unreadable):
            read(data)
    with contextlib.suppress(codec.Unreadable):
        codec.read_request(msgspec.Raw(data), {})


@examples(20)
@given(fields_drawn(models.PlaceRequest, **CHOSEN[models.PlaceRequest]), of_kinds(REQUESTS[1:3]))
def test_a_request_for_an_unknown_product_takes_no_other_with_it(
    place: models.PlaceRequest, other: models.Request
) -> None:
    written = [(number, codec.write_request(each)) for number, each in enumerate((place, other))]
    (_, first), (_, second) = codec.read_letters(codec.write_letters("gateway", written)).requests
    with pytest.raises(codec.Unreadable):
        codec.read_request(first, {})
    assert codec.read_request(second, {}) == other


def test_what_another_version_wrote_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = codec.write_answers([(1, outcomes.Cancelled(order=None))])
    letters = codec.write_letters("gateway", [])
    monkeypatch.setattr(codec, "FORM", "another")
    assert not codec.read_letters(letters).is_readable
    with pytest.raises(codec.Unreadable):
        codec.read_answers(answers)
