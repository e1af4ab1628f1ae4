"""Leases as their parties see them, and a provider's word that hours were not delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.clock import hour_of
from exchange.kit.errors import Conflict, Faults, NotFound
from exchange.kit.fields import format_cny, format_hour, whole_hour
from exchange.kit.ids import encode_id
from exchange.settlement import store
from exchange.settlement.models import DeliveredHour, LeaseDelivery, LeaseView
from exchange.settlement.rules import lease_status

if TYPE_CHECKING:
    from collections.abc import Collection

    from exchange.kit.auth import Principal
    from exchange.kit.database import Connection, Record
    from exchange.settlement.models import LeaseStatus, NewOutage


def _view(row: Record, hour: int) -> LeaseView:
    gpu_hours = row["quantity_gpus"] * (row["ends_hour"] - row["starts_hour"])
    return LeaseView(
        id=encode_id("lse", row["id"]),
        trade_id=encode_id("trd", row["id"]),
        product=row["product_id"],
        status=lease_status(
            starts_hour=row["starts_hour"],
            ends_hour=row["ends_hour"],
            next_settlement_hour=row["next_settlement_hour"],
            hour=hour,
        ),
        buyer=row["buyer"],
        provider=row["provider"],
        quantity_gpus=row["quantity_gpus"],
        starts_at=format_hour(row["starts_hour"]),
        ends_at=format_hour(row["ends_hour"]),
        price_cny_per_gpu_hour=format_cny(row["price_ticks"]),
        amount_cny=format_cny(row["price_ticks"] * gpu_hours),
        captured_cny=format_cny(row["captured_fen"]),
        returned_cny=format_cny(row["returned_fen"]),
        settled_hours=row["next_settlement_hour"] - row["starts_hour"],
        failed_hours=row["failed_hours"],
    )


async def page_of_leases(
    connection: Connection,
    principal: Principal,
    *,
    before_id: int,
    limit: int,
    now_us: int,
    product_id: str | None = None,
    statuses: Collection[LeaseStatus] | None = None,
) -> list[LeaseView]:
    """Own leases, as buyer or provider, newest first: all, or of a product, or of some statuses now."""
    hour = hour_of(now_us)
    rows = await store.leases_of_participant(
        connection,
        principal.participant_id,
        before_id,
        limit,
        product_id=product_id,
        statuses=statuses,
        hour=hour,
    )
    return [_view(row, hour) for row in rows]


async def get_lease(connection: Connection, principal: Principal, lease_id: int, now_us: int) -> LeaseView:
    """An own lease; raises `NotFound`."""
    return _view(await _own(connection, principal, lease_id), hour_of(now_us))


async def get_delivery(connection: Connection, principal: Principal, lease_id: int) -> LeaseDelivery:
    """An own lease hour by hour; raises `NotFound`."""
    row = await _own(connection, principal, lease_id)
    reasons = {
        outage["delivery_hour"]: outage["reason"]
        for outage in await store.outages_of_leases(connection, [lease_id])
    }
    hours = []
    for hour in range(row["starts_hour"], row["ends_hour"]):
        settled = "failed" if hour in reasons else "delivered"
        status = settled if hour < row["next_settlement_hour"] else "pending"
        hours.append(DeliveredHour(starts_at=format_hour(hour), status=status, reason=reasons.get(hour, "")))
    return LeaseDelivery(lease_id=encode_id("lse", lease_id), hours=hours)


async def _own(connection: Connection, principal: Principal, lease_id: int) -> Record:
    row = await store.lease_of_participant(connection, lease_id, principal.participant_id)
    if row is None:
        raise NotFound(detail="no such lease")
    return row


async def report_outage(
    connection: Connection,
    principal: Principal,
    lease_id: int,
    outage: NewOutage,
    now_us: int,
    faults: Faults | None = None,
) -> LeaseDelivery:
    """Record hours of an own lease as not delivered; their money goes back to the buyer when they settle.

    An hour can be reported until it is settled. `faults` carries what decoding already found. Raises
    `NotFound`, `InvalidInput` with every fault, and `Conflict` when an hour is settled already; then nothing
    is recorded.
    """
    lease = await store.lock_lease(connection, lease_id, principal.participant_id)
    if lease is None:
        raise NotFound(detail="no such lease")
    faults = Faults() if faults is None else faults
    hours: list[int] = []
    for index, text in enumerate(outage.hours or ()):  # UNSET, which is false, where decoding found fault
        hour = whole_hour(faults, f"/hours/{index}", text)
        if hour is None:
            continue
        if not lease["starts_hour"] <= hour < lease["ends_hour"]:
            window = f"{format_hour(lease['starts_hour'])} to {format_hour(lease['ends_hour'])}"
            faults.add(f"/hours/{index}", "outside_lease", f"must lie within the lease, {window}", text)
        hours.append(hour)
    faults.raise_if_any()
    settled = [hour for hour in hours if hour < lease["next_settlement_hour"]]
    if settled:
        raise Conflict(
            "hour_settled", f"the hour {format_hour(settled[0])} has been settled and paid already"
        )
    await store.insert_outages(connection, lease_id, hours, outage.reason, principal.participant_id, now_us)
    await insert_audit_records(
        connection,
        [
            AuditRecord(
                code="OUTG",
                event_at_us=now_us,
                actor_participant_id=principal.participant_id,
                key_id=principal.key_id,
                participant_id=principal.participant_id,
                product_id=lease["product_id"],
                trade_id=lease_id,
                subject_id=lease_id,
                detail={"hours": hours, "reason": outage.reason},
            )
        ],
    )
    return await get_delivery(connection, principal, lease_id)
