"""Reading what a regulator asks, and showing what the tables answer. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from exchange.kit.clock import format_rfc3339, us_of
from exchange.kit.errors import Faults
from exchange.kit.fields import format_cny, format_hour, money_fen, time_us, typed_id
from exchange.kit.ids import encode_id
from exchange.oversight.models import (
    VENUE,
    Found,
    OrderFacts,
    OrderStep,
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
}
_IDS: Final = {
    "participant": ("participant_id", "par"),
    "buyer": ("buyer_id", "par"),
    "provider": ("provider_id", "par"),
    "trade_group": ("trade_group_id", "grp"),
    "programme": ("programme_id", "prg"),
}
_PRICES: Final = {
    "price_min_cny_per_gpu_hour": "price_ticks_min",
    "price_max_cny_per_gpu_hour": "price_ticks_max",
}


def read_query(given: Mapping[str, Any], faults: Faults) -> Wanted:
    """Read the parameters that were given; what is wrong with them goes to `faults`, all of it."""
    values: dict[str, Any] = {field: given.get(name) for name, field in _TEXTS.items()}
    values["aggressor"] = given.get("side")
    values["is_voucher_funded"] = given.get("voucher_funded")
    for name in ("traded_from", "traded_until"):
        values[f"{name}_us"] = time_us(faults, f"?{name}", given.get(name))
    for name, (field, prefix) in _IDS.items():
        values[field] = typed_id(faults, f"?{name}", prefix, given.get(name))
    for name, field in _PRICES.items():
        values[field] = money_fen(faults, f"?{name}", given.get(name))
    wanted = Wanted(**values)
    from_us, until_us = wanted.traded_from_us, wanted.traded_until_us
    if from_us is not None and until_us is not None and from_us >= until_us:
        faults.add("?traded_until", "out_of_range", "must be later than traded_from", given["traded_until"])
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
    """Return what is wanted, in the tables' values."""
    narrows_products = any((wanted.product_id, wanted.accelerator_id, wanted.origin, wanted.hub_code))
    return TradeFilter(
        traded_from_us=wanted.traded_from_us,
        traded_until_us=wanted.traded_until_us,
        product_ids=found.product_ids if narrows_products else None,
        participant_id=wanted.participant_id,
        group_member_ids=None if wanted.trade_group_id is None else found.group_member_ids,
        buyer_id=wanted.buyer_id,
        provider_id=wanted.provider_id,
        aggressor=wanted.aggressor,
        price_ticks_min=wanted.price_ticks_min,
        price_ticks_max=wanted.price_ticks_max,
        programme_id=wanted.programme_id,
        is_voucher_funded=wanted.is_voucher_funded,
    )


def _id(prefix: str, value: int | None) -> str | None:
    return None if value is None else encode_id(prefix, value)


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
        buyer_trade_group_id=_id("grp", row["buyer_trade_group_id"]),
        buyer_trade_group_name=row["buyer_trade_group_name"],
        provider_id=encode_id("par", row["provider_id"]),
        provider_name=row["provider_name"],
        provider_ownership=row["provider_ownership"],
        provider_region=row["provider_region"],
        provider_trade_group_id=_id("grp", row["provider_trade_group_id"]),
        provider_trade_group_name=row["provider_trade_group_name"],
    )


def order_facts(row: Row) -> OrderFacts:
    """Show an order with its owner."""
    return OrderFacts(
        id=encode_id("ord", row["id"]),
        client_order_id=row["client_order_id"],
        participant_id=encode_id("par", row["participant_id"]),
        participant_name=row["participant_name"],
        trade_group_id=_id("grp", row["trade_group_id"]),
        key_id=encode_id("key", row["key_id"]),
        partition=row["partition_id"],
        sequence=row["sequence"],
        product=row["product_id"],
        side=row["side"],
        quantity_gpus=row["quantity_gpus"],
        starts_at=format_hour(row["starts_hour"]),
        ends_at=format_hour(row["ends_hour"]),
        hours=row["hours"],
        price_cny_per_gpu_hour=format_cny(row["price_ticks"]),
        terms=msgspec.Raw(row["terms"].encode()),
        status=row["status"],
        reason=row["reason"],
        filled_gpus=row["filled_gpus"],
        filled_gpu_hours=row["filled_gpu_hours"],
        created_at=format_rfc3339(us_of(row["created_at"])),
        updated_at=format_rfc3339(us_of(row["updated_at"])),
    )


def order_step(row: Row) -> OrderStep:
    """Show an audit record of an order."""
    return OrderStep(
        code=row["code"],
        event_at=format_rfc3339(us_of(row["event_at"])),
        partition=row["partition_id"],
        sequence=row["sequence"],
        event_index=row["event_index"],
        actor_participant_id=_id("par", row["actor_participant_id"]),
        key_id=_id("key", row["key_id"]),
        trade_group_id=_id("grp", row["trade_group_id"]),
        trade_id=_id("trd", row["trade_id"]),
        detail=msgspec.Raw(row["detail"].encode()),
    )
