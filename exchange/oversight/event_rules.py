"""What a question about records means, and how a record is shown. Pure."""

from typing import Final

import msgspec

from exchange.kit.clock import format_rfc3339, us_of
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.oversight.event_models import EventFilter, EventRow
from exchange.oversight.models import VENUE, Found, Row, Wanted
from exchange.oversight.rules import (
    group_members,
    optional_id,
    optional_time,
    product_ids,
    region_members,
)

_SUBJECTS: Final = {
    "vch": "VISS VRES VSUS VREV VEXP",
    "lse": "DLVR REFD OUTG",
    "clm": "CLMO CLMS CLMU CLMQ CLMA CLMD CLMR CLMP CLMC CLMB CLMV CLMW CLME",
    "app": "APPS APPX APPC APPA APPR APPW",
    "prg": "PRGM POPN PEXH PCLO",
    "key": "KNEW KROT KREV LNEW SNEW SEND",
    "trf": "CASH",
    "alr": "ALRV ALNT ALCL",
}
_PREFIX_OF: Final = {code: prefix for prefix, codes in _SUBJECTS.items() for code in codes.split()}


def subject_of(code: str, subject_id: int | None) -> str | None:
    """Return what a step is about as the id by which the API knows it; else its number."""
    prefix = _PREFIX_OF.get(code)
    if subject_id is None or prefix is None:
        return None if subject_id is None else str(subject_id)
    return encode_id(prefix, subject_id)


def event_filter_of(wanted: Wanted, found: Found) -> EventFilter:
    """Return which records are wanted, in the tables' values."""
    return EventFilter(
        from_us=wanted.from_us,
        until_us=wanted.until_us,
        product_ids=product_ids(wanted, found),
        participant_id=wanted.participant_id,
        group_member_ids=group_members(wanted, found),
        region_member_ids=region_members(wanted, found),
        order_id=wanted.order_id,
        side=wanted.side,
        code=wanted.code,
        price_ticks_min=wanted.price_ticks_min,
        price_ticks_max=wanted.price_ticks_max,
        programme_id=wanted.programme_id,
        is_voucher_funded=wanted.is_voucher_funded,
    )


_STATUSES: Final = {
    "NEWO": "accepted",
    "PARF": "partially_filled",
    "FILL": "filled",
    "CAME": "cancelled",
    "EXPI": "expired",
}


class _Outcome(msgspec.Struct, frozen=True):
    """What tells an order that ended from one of which only an amendment did something."""

    amendment: object = None  # whatever was wished: `msgspec.Raw | None` takes a null only
    replaced_by_order_id: int | None = None


_outcome: Final = msgspec.json.Decoder(_Outcome)


def status_after(code: str, detail: str) -> str | None:
    """Return where a step left its order; None where it left it as it was, or is no order's."""
    if code not in {"REMO", "REME"}:
        return _STATUSES.get(code)
    told = _outcome.decode(detail)
    if code == "REMO":
        return "rejected" if told.amendment is None else None
    return None if told.replaced_by_order_id is None else "cancelled"


def event_row(row: Row) -> EventRow:
    """Show a record."""
    return EventRow(
        number=row["id"],
        venue=VENUE,
        code=row["code"],
        event_at=format_rfc3339(us_of(row["event_at"])),
        received_at=optional_time(row["received_at"]),
        partition=row["partition_id"],
        sequence=row["sequence"],
        event_index=row["event_index"],
        engine_version=row["engine_version"],
        actor_participant_id=optional_id("par", row["actor_participant_id"]),
        key_id=optional_id("key", row["key_id"]),
        algorithm=row["algorithm"],
        participant_id=optional_id("par", row["participant_id"]),
        participant_name=row["participant_name"],
        region=row["region"],
        trade_group_id=optional_id("grp", row["trade_group_id"]),
        product=row["product_id"],
        accelerator=row["accelerator_id"],
        origin=row["origin"],
        hub=row["hub_code"],
        order_id=optional_id("ord", row["order_id"]),
        client_order_id=row["client_order_id"],
        side=row["side"],
        price_cny_per_gpu_hour=None if row["price_ticks"] is None else format_cny(row["price_ticks"]),
        status=status_after(row["code"], row["detail"]),
        trade_id=optional_id("trd", row["trade_id"]),
        counter_order_id=optional_id("ord", row["counter_order_id"]),
        aggressor=row["aggressor"],
        fee_bps=row["fee_bps"],
        subject=subject_of(row["code"], row["subject_id"]),
        detail=msgspec.Raw(row["detail"].encode()),
    )
