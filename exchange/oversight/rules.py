"""Reading what a regulator asks, and showing what the tables answer. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from exchange.kit.clock import format_rfc3339, us_of
from exchange.kit.errors import Faults
from exchange.kit.fields import format_cny, format_hour, money_fen, time_us, typed_id
from exchange.kit.ids import encode_id
from exchange.oversight.models import (
    VENUE,
    Found,
    Row,
    TradeFilter,
    TradeRow,
    Wanted,
)

_TEXTS: Final = {
    "product": "product_id",
    "accelerator": "accelerator_id",
    "origin": "origin",
    "hub": "hub_code",
    "region": "region",
    "side": "side",
    "code": "code",
    "voucher_funded": "is_voucher_funded",
}
_IDS: Final = {
    "participant": ("participant_id", "par"),
    "buyer": ("buyer_id", "par"),
    "provider": ("provider_id", "par"),
    "trade_group": ("trade_group_id", "grp"),
    "programme": ("programme_id", "prg"),
    "order_id": ("order_id", "ord"),
}
_TIMES: Final = (("traded_from", "traded_until"), ("event_from", "event_until"))
_PRICES: Final = {
    "price_min_cny_per_gpu_hour": "price_ticks_min",
    "price_max_cny_per_gpu_hour": "price_ticks_max",
}


def read_query(given: Mapping[str, Any], faults: Faults) -> Wanted:
    """Read the parameters that were given; what is wrong with them goes to `faults`, all of it."""
    values: dict[str, Any] = {field: given.get(name) for name, field in _TEXTS.items()}
    for from_name, until_name in _TIMES:
        if from_name in given or until_name in given:
            values["from_us"] = time_us(faults, f"?{from_name}", given.get(from_name))
            values["until_us"] = time_us(faults, f"?{until_name}", given.get(until_name))
    for name, (field, prefix) in _IDS.items():
        values[field] = typed_id(faults, f"?{name}", prefix, given.get(name))
    for name, field in _PRICES.items():
        values[field] = money_fen(faults, f"?{name}", given.get(name))
    wanted = Wanted(**values)
    from_us, until_us = wanted.from_us, wanted.until_us
    if from_us is not None and until_us is not None and from_us >= until_us:
        (from_name, until_name) = next(names for names in _TIMES if names[1] in given)
        faults.add(f"?{until_name}", "out_of_range", f"must be later than {from_name}", given[until_name])
    ticks_min, ticks_max = wanted.price_ticks_min, wanted.price_ticks_max
    if ticks_min is not None and ticks_max is not None and ticks_min > ticks_max:
        name = "price_max_cny_per_gpu_hour"
        faults.add(f"?{name}", "out_of_range", "must be at least price_min_cny_per_gpu_hour", given[name])
    return wanted


def check_names(given: Mapping[str, Any], found: Found, faults: Faults) -> None:
    """Record a fault for each name that nothing has."""
    for name, is_known in found.is_known.items():
        if not is_known:
            faults.add(f"?{name}", "unknown_reference", "is not known here", given.get(name))


def filter_of(wanted: Wanted, found: Found) -> TradeFilter:
    """Return which trades are wanted, in the tables' values."""
    return TradeFilter(
        traded_from_us=wanted.from_us,
        traded_until_us=wanted.until_us,
        product_ids=product_ids(wanted, found),
        participant_id=wanted.participant_id,
        group_member_ids=group_members(wanted, found),
        region_member_ids=region_members(wanted, found),
        buyer_id=wanted.buyer_id,
        provider_id=wanted.provider_id,
        aggressor=wanted.side,
        price_ticks_min=wanted.price_ticks_min,
        price_ticks_max=wanted.price_ticks_max,
        programme_id=wanted.programme_id,
        is_voucher_funded=wanted.is_voucher_funded,
    )


def product_ids(wanted: Wanted, found: Found) -> tuple[str, ...] | None:
    """Return the products that are wanted; None for all."""
    narrows = any((wanted.product_id, wanted.accelerator_id, wanted.origin, wanted.hub_code))
    return found.product_ids if narrows else None


def group_members(wanted: Wanted, found: Found) -> tuple[int, ...] | None:
    """Return the members of the trade group that is wanted; None for all participants."""
    return None if wanted.trade_group_id is None else found.group_member_ids


def region_members(wanted: Wanted, found: Found) -> tuple[int, ...] | None:
    """Return the participants of the region that is wanted; None for all."""
    return None if wanted.region is None else found.region_member_ids


def optional_id(prefix: str, value: int | None) -> str | None:
    """Show an id that may be missing."""
    return None if value is None else encode_id(prefix, value)


def optional_time(at: datetime | None) -> str | None:
    """Show a time that may be missing."""
    return None if at is None else format_rfc3339(us_of(at))


def trade_row(row: Row) -> TradeRow:
    """Show a row of `oversight_trade`."""
    hours = row["ends_hour"] - row["starts_hour"]
    return TradeRow(
        id=encode_id("trd", row["id"]),
        venue=VENUE,
        partition=row["partition_id"],
        sequence=row["sequence"],
        traded_at=format_rfc3339(us_of(row["traded_at"])),
        product=row["product_id"],
        accelerator=row["accelerator_id"],
        origin=row["origin"],
        hub=row["hub_code"],
        cluster=row["cluster_code"],
        interconnect=row["interconnect_code"],
        starts_at=format_hour(row["starts_hour"]),
        ends_at=format_hour(row["ends_hour"]),
        hours=hours,
        quantity_gpus=row["quantity_gpus"],
        gpu_hours=row["quantity_gpus"] * hours,
        price_cny_per_gpu_hour=format_cny(row["price_ticks"]),
        notional_cny=format_cny(row["notional_fen"]),
        voucher_cny=format_cny(row["voucher_fen"]),
        reimbursable_cny=format_cny(row["reimbursable_fen"]),
        programme_ids=[encode_id("prg", each) for each in row["programme_ids"]],
        programmes=list(row["programme_codes"]),
        fee_bps=row["fee_bps"],
        aggressor=row["aggressor"],
        bid_order_id=encode_id("ord", row["bid_order_id"]),
        bid_client_order_id=row["bid_client_order_id"],
        ask_order_id=encode_id("ord", row["ask_order_id"]),
        ask_client_order_id=row["ask_client_order_id"],
        buyer_id=encode_id("par", row["buyer_id"]),
        buyer_name=row["buyer_name"],
        buyer_size_class=row["buyer_size_class"],
        buyer_region=row["buyer_region"],
        buyer_trade_group_id=optional_id("grp", row["buyer_trade_group_id"]),
        buyer_trade_group_name=row["buyer_trade_group_name"],
        provider_id=encode_id("par", row["provider_id"]),
        provider_name=row["provider_name"],
        provider_ownership=row["provider_ownership"],
        provider_region=row["provider_region"],
        provider_trade_group_id=optional_id("grp", row["provider_trade_group_id"]),
        provider_trade_group_name=row["provider_trade_group_name"],
    )
