"""How the lives of orders, trades and vouchers are shown. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from exchange.kit import own_reasons
from exchange.kit.clock import format_rfc3339, us_of
from exchange.kit.fields import format_cny, format_hour
from exchange.kit.ids import encode_id
from exchange.ledger.models import TransferReason
from exchange.ledger.rules import SUBJECT_PREFIX
from exchange.oversight.event_rules import status_after
from exchange.oversight.life_models import (
    CapturedHour,
    FailedHour,
    Funding,
    OrderFacts,
    OrderStep,
    TradeLife,
    VoucherChange,
    VoucherFacts,
    VoucherMovement,
)
from exchange.oversight.models import Row
from exchange.oversight.rules import optional_id, optional_time, trade_row

_OTHER_ORDERS: Final = ("replaced_by_order_id", "replaces_order_id", "ask_order_id")


def order_facts(row: Row) -> OrderFacts:
    """Show an order with its owner."""
    return OrderFacts(
        id=encode_id("ord", row["id"]),
        client_order_id=row["client_order_id"],
        participant_id=encode_id("par", row["participant_id"]),
        participant_name=row["participant_name"],
        trade_group_id=optional_id("grp", row["trade_group_id"]),
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
        received_at=optional_time(row["received_at"]),
        partition=row["partition_id"],
        sequence=row["sequence"],
        event_index=row["event_index"],
        actor_participant_id=optional_id("par", row["actor_participant_id"]),
        key_id=optional_id("key", row["key_id"]),
        trade_group_id=optional_id("grp", row["trade_group_id"]),
        trade_id=optional_id("trd", row["trade_id"]),
        status=status_after(row["code"], row["detail"]),
        other_order_id=_other_order_id(row["detail"]),
        detail=msgspec.Raw(row["detail"].encode()),
    )


def _other_order_id(detail: str) -> str | None:
    told = msgspec.json.decode(detail)
    return optional_id("ord", next((told[name] for name in _OTHER_ORDERS if name in told), None))


def trade_life(
    row: Row,
    steps: Sequence[Row],
    funding: Sequence[Row],
    outages: Sequence[Row],
    captures: Sequence[Row],
) -> TradeLife:
    """Show a trade with all that became of it."""
    return TradeLife(
        trade=trade_row(row),
        settled_until=format_hour(row["next_settlement_hour"]),
        failed_hours=row["failed_hours"],
        steps=[order_step(each) for each in steps],
        funding=[_funding(each) for each in funding],
        outages=[
            FailedHour(
                starts_at=format_hour(each["delivery_hour"]),
                reason=each["reason"],
                reported_at=format_rfc3339(us_of(each["reported_at"])),
            )
            for each in outages
        ],
        captures=[_capture(each) for each in captures],
    )


def _funding(row: Row) -> Funding:
    is_cash = row["voucher_id"] == 0
    return Funding(
        voucher_id=None if is_cash else encode_id("vch", row["voucher_id"]),
        programme_id=optional_id("prg", row["programme_id"]),
        programme=row["programme_code"],
        programme_version=None if is_cash else row["programme_version"],
        reimbursed=row["reimbursed"],
        committed_cny=format_cny(row["committed_fen"]),
        captured_cny=format_cny(row["captured_fen"]),
        returned_cny=format_cny(row["returned_fen"]),
    )


def _capture(row: Row) -> CapturedHour:
    return CapturedHour(
        starts_at=format_hour(row["delivery_hour"]),
        voucher_id=encode_id("vch", row["voucher_id"]),
        amount_cny=format_cny(row["amount_fen"]),
        reduced_cny=format_cny(row["reduced_fen"]),
        recovered_cny=format_cny(row["recovered_fen"]),
        claimant_id=encode_id("par", row["claimant_id"]),
        claim_id=optional_id("clm", row["claim_id"]),
        captured_at=format_rfc3339(us_of(row["captured_at"])),
    )


def voucher_facts(row: Row) -> VoucherFacts:
    """Show a voucher."""
    return VoucherFacts(
        id=encode_id("vch", row["id"]),
        programme_id=encode_id("prg", row["programme_id"]),
        programme=row["programme_code"],
        programme_version=row["programme_version"],
        buyer_id=encode_id("par", row["buyer_id"]),
        buyer_name=row["buyer_name"],
        face_cny=format_cny(row["face_fen"]),
        status=row["status"],
        issued_at=format_rfc3339(us_of(row["issued_at"])),
        expires_at=format_rfc3339(us_of(row["expires_at"])),
    )


def voucher_change(row: Row) -> VoucherChange:
    """Show a step of a voucher."""
    return VoucherChange(
        number=row["number"],
        from_status=row["from_status"],
        to_status=row["to_status"],
        actor_role=row["actor_role"],
        actor_id=encode_id("par", row["actor_id"]),
        returned_cny=format_cny(row["returned_fen"]),
        reason=row["reason"],
        reason_code=own_reasons.code_of(row["reason"]),
        stepped_at=format_rfc3339(us_of(row["stepped_at"])),
    )


def voucher_movement(row: Row) -> VoucherMovement:
    """Show a transfer of a voucher's accounts."""
    hour = row["delivery_hour"]
    return VoucherMovement(
        at=format_rfc3339(us_of(row["created_at"])),
        kind=row["kind"],
        reason=row["reason"],
        amount_cny=format_cny(row["amount_fen"]),
        subject=encode_id(SUBJECT_PREFIX[TransferReason(row["reason"])], row["subject_id"]),
        delivery_hour_at=None if hour is None else format_hour(hour),
    )
