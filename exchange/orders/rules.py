"""The rules an order must meet before it reaches its book, and how a row of it is shown.

Pure. `read_order` turns the wire form into integers; `parse_order` also judges it, and says everything that
is wrong with it at once. Neither knows of money or of the book, which judge later, in sequence.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from exchange.kit.errors import Faults
from exchange.kit.fields import format_hour, typed_id, whole_hour
from exchange.kit.ids import encode_id
from exchange.orders.models import OrderTerms
from exchange.products.models import Origin
from exchange.products.rules import read_price_ticks
from matching.order import Side

if TYPE_CHECKING:
    from exchange.orders.models import AmendOrder, NewOrder
    from exchange.products.models import ProductSpec

DOMESTIC_BIT: Final = 1 << 0
STATE_OWNED_BIT: Final = 1 << 1
STARTUP_BIT: Final = 1 << 2
REQUIRE_BITS: Final = {"domestic": DOMESTIC_BIT, "state_owned": STATE_OWNED_BIT}
RESERVE_BITS: Final = {"startup": STARTUP_BIT}

_NUMBER_BYTES: Final = 8
_FIELDS: Final = struct.Struct(">QQQ")
"""The length of a number, the number, and the length of the text or the bytes that come after it."""

# Reading a member off its class is slow, and every order asks.
_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_FOREIGN: Final = Origin.FOREIGN

_BID_FIELDS: Final = ("hours", "fill", "placement", "require", "vouchers", "voucher_policy")
_ASK_FIELDS: Final = ("min_hours", "reserved_for")
_IMMEDIATE: Final = frozenset({"ioc", "fok"})
_WITHOUT_VOUCHERS: Final = (None, "none")


class ParsedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order says, in numbers: the same for every way of saying it."""

    starts_hour: int
    ends_hour: int
    hours: int
    price_ticks: int
    terms: OrderTerms
    voucher_ids: tuple[int, ...]


class _Numbers(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The texts of an order as numbers; None for one that cannot be read or is not there."""

    starts_hour: int | None
    ends_hour: int | None
    price_ticks: int | None
    expire_hour: int | None
    voucher_ids: tuple[int, ...]


def fingerprint(order: NewOrder, parsed: ParsedOrder) -> bytes:
    """What tells two orders under one client order id apart: 32 bytes, the same for the same meaning.

    Stored with the order: what goes in here may only grow by terms whose default is left out.
    """
    meaning = (order.product, order.side, order.quantity_gpus, parsed)
    return hashlib.sha256(msgspec.json.encode(meaning)).digest()


def was_read(value: object) -> bool:
    """Whether decoding could read a field: one that it found fault with stands as `UNSET`."""
    return value is not msgspec.UNSET


def needs_mask(order: NewOrder) -> int:
    """The bits an order demands of its counterparties, vouchers apart."""
    if order.side is _BUY:
        return sum(REQUIRE_BITS[name] for name in set(order.require or ()))
    return sum(RESERVE_BITS[name] for name in set(order.reserved_for or ()))


def read_order(order: NewOrder) -> ParsedOrder | None:
    """Read a well-formed order without judging it: None where a text of it cannot be read."""
    faults = Faults()
    numbers = _read(order, faults)
    return None if faults else _parsed(order, numbers)


def parse_order(
    order: NewOrder, product: ProductSpec | None, *, first_hour: int, faults: Faults
) -> ParsedOrder | None:
    """Read and judge an order; records every fault and returns None when there is one.

    `first_hour` is the first hour still for sale: the one after the venue's running hour. A field of `order`
    may be `UNSET` when decoding already found fault with it; rules that need it are then skipped.
    """
    numbers = _read(order, faults)
    _judge_voucher_policy(order, faults)
    if product is None:
        if was_read(order.product):
            faults.add(
                "/product", "unknown_product", "must be a product listed by GET /v1/products", order.product
            )
    else:
        judge_quantity(order.quantity_gpus, product, faults)
        _judge_require(order, product, faults)
    _judge_window(order, numbers.starts_hour, numbers.ends_hour, product, first_hour, faults)
    _judge_time_in_force(order, numbers.expire_hour, first_hour, faults)
    _judge_side(order, faults)
    return None if faults else _parsed(order, numbers)


def judge_wish(wish: AmendOrder, faults: Faults) -> None:
    """Record what is wrong with an amendment whatever order it is of."""
    _read(wish, faults)
    _judge_voucher_policy(wish, faults)


def _read(order: NewOrder | AmendOrder, faults: Faults) -> _Numbers:
    return _Numbers(
        starts_hour=whole_hour(faults, "/starts_at", order.starts_at),
        ends_hour=whole_hour(faults, "/ends_at", order.ends_at),
        price_ticks=read_price_ticks(faults, "/price_cny_per_gpu_hour", order.price_cny_per_gpu_hour),
        expire_hour=whole_hour(faults, "/expires_at", order.expires_at),
        voucher_ids=_voucher_ids(order, faults),
    )


def _parsed(order: NewOrder, numbers: _Numbers) -> ParsedOrder | None:
    starts_hour, ends_hour, price_ticks = numbers.starts_hour, numbers.ends_hour, numbers.price_ticks
    if starts_hour is None or ends_hour is None or price_ticks is None:
        return None
    return ParsedOrder(
        starts_hour=starts_hour,
        ends_hour=ends_hour,
        hours=order.hours or ends_hour - starts_hour,
        price_ticks=price_ticks,
        terms=_terms(order, numbers.expire_hour or 0, numbers.voucher_ids),
        voucher_ids=numbers.voucher_ids,
    )


def judge_quantity(quantity_gpus: int, product: ProductSpec, faults: Faults) -> None:
    """Record a quantity that is no multiple of its product's lot."""
    lot = product.lot_gpus
    if was_read(quantity_gpus) and quantity_gpus % lot:
        detail = f"must be a multiple of the product's lot of {lot} GPUs"
        faults.add("/quantity_gpus", "not_a_lot_multiple", detail, quantity_gpus)


def _judge_window(
    order: NewOrder,
    starts_hour: int | None,
    ends_hour: int | None,
    product: ProductSpec | None,
    first_hour: int,
    faults: Faults,
) -> None:
    if starts_hour is not None and starts_hour < first_hour:
        detail = f"must not begin before {format_hour(first_hour)}, the first hour still for sale"
        faults.add("/starts_at", "window_in_past", detail, order.starts_at)
    if ends_hour is not None and product is not None:
        last_hour = first_hour + product.listing_horizon_hours
        if ends_hour > last_hour:
            detail = f"must not lie beyond the listing horizon, now {format_hour(last_hour)}"
            faults.add("/ends_at", "beyond_horizon", detail, order.ends_at)
    if starts_hour is None or ends_hour is None:
        return
    window_hours = ends_hour - starts_hour
    if window_hours <= 0:
        faults.add("/ends_at", "window_inverted", "must be later than starts_at", order.ends_at)
        return
    for name in ("hours", "min_hours"):
        hours = getattr(order, name)
        if isinstance(hours, int) and hours > window_hours:
            detail = f"must be at most the {window_hours} hours between starts_at and ends_at"
            faults.add(f"/{name}", "longer_than_window", detail, hours)


def _judge_time_in_force(order: NewOrder, expire_hour: int | None, first_hour: int, faults: Faults) -> None:
    if order.time_in_force == "gtd":
        if order.expires_at is None:
            faults.add("/expires_at", "required", "must be given with time_in_force gtd")
        elif expire_hour is not None and expire_hour < first_hour:
            detail = f"must not lie before {format_hour(first_hour)}, when the next hour begins"
            faults.add("/expires_at", "in_past", detail, order.expires_at)
    elif isinstance(order.expires_at, str):
        faults.add(
            "/expires_at", "not_applicable", "must only be given with time_in_force gtd", order.expires_at
        )
    if order.time_in_force in _IMMEDIATE and order.post_only is True:
        detail = f"must be false with time_in_force {order.time_in_force}, which never rests"
        faults.add("/post_only", "not_applicable", detail, value=True)
    if order.time_in_force == "fok" and order.fill == "partial":
        faults.add("/fill", "not_applicable", "must not be partial with time_in_force fok", order.fill)


def _judge_require(order: NewOrder, product: ProductSpec, faults: Faults) -> None:
    """Record what no ask of the product can ever be."""
    if product.origin is _FOREIGN and isinstance(order.require, list) and "domestic" in order.require:
        detail = f"must not be domestic: {product.id} is of foreign origin, so such a bid could never trade"
        faults.add(f"/require/{order.require.index('domestic')}", "not_applicable", detail, "domestic")


def _judge_voucher_policy(order: NewOrder | AmendOrder, faults: Faults) -> None:
    """Record that vouchers only are asked for and none are given to pay with."""
    if order.voucher_policy == "only_eligible" and order.vouchers in _WITHOUT_VOUCHERS:
        detail = "must only be only_eligible where vouchers is auto or names some"
        faults.add("/voucher_policy", "not_applicable", detail, order.voucher_policy)


def _judge_side(order: NewOrder, faults: Faults) -> None:
    if not was_read(order.side):
        return
    wrong, other = (_BID_FIELDS, _BUY) if order.side is _SELL else (_ASK_FIELDS, _SELL)
    for name in wrong:
        value = getattr(order, name)
        if value is not None and was_read(value):
            faults.add(f"/{name}", "not_applicable", f"must only be given with side {other}", value)


def _voucher_ids(order: NewOrder | AmendOrder, faults: Faults) -> tuple[int, ...]:
    """Read the named vouchers, in order of ids; empty for auto and none."""
    if not isinstance(order.vouchers, list):
        return ()
    ids: dict[int, int] = {}
    for index, text in enumerate(order.vouchers):
        voucher_id = typed_id(faults, f"/vouchers/{index}", "vch", text)
        if voucher_id is None:
            continue
        if voucher_id in ids:
            detail = f"must not repeat /vouchers/{ids[voucher_id]}"
            faults.add(f"/vouchers/{index}", "duplicate", detail, text)
        ids.setdefault(voucher_id, index)
    return tuple(sorted(ids))


def _terms(order: NewOrder, expire_hour: int, voucher_ids: tuple[int, ...]) -> OrderTerms:
    vouchers: Literal["auto", "none"] | tuple[str, ...]
    if isinstance(order.vouchers, list):
        vouchers = tuple(encode_id("vch", voucher_id) for voucher_id in voucher_ids)
    else:
        vouchers = order.vouchers or "none"
    return OrderTerms(
        time_in_force=order.time_in_force,
        expire_hour=expire_hour,
        post_only=order.post_only,
        fill="all_or_none" if order.time_in_force == "fok" else order.fill or "partial",
        placement=order.placement or "any",
        require=tuple(sorted(set(order.require or ()))),
        vouchers=vouchers,
        voucher_policy=order.voucher_policy or "prefer",
        min_hours=order.min_hours or 1,
        reserved_for=tuple(sorted(set(order.reserved_for or ()))),
    )


def average_price(notional_fen: int, gpu_hours: int) -> str | None:
    """The mean price of what was filled, in CNY with four decimals, half up; None where nothing was."""
    if not gpu_hours:
        return None
    ten_thousandths = (notional_fen * 200 + gpu_hours) // (2 * gpu_hours)
    return f"{ten_thousandths // 10_000}.{ten_thousandths % 10_000:04d}"


def journal_hash(
    previous: bytes, sequence: int, product_id: str, event_at_us: int, command: bytes, events: bytes
) -> bytes:
    """The hash that seals a journal row to the one before it.

    SHA-256 over that one's hash and these fields, each after its length in eight bytes; so are the numbers.
    """
    product = product_id.encode()
    fields = _FIELDS.pack(_NUMBER_BYTES, sequence, len(product))
    rest = _FIELDS.pack(_NUMBER_BYTES, event_at_us, len(command))
    return hashlib.sha256(
        b"".join(
            (previous, fields, product, rest, command, len(events).to_bytes(_NUMBER_BYTES, "big"), events)
        )
    ).digest()
