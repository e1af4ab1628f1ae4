"""What a delivered hour pays, and to whom.

The hour clock settles every leased hour once, `settlement_delay_hours` after it ended, which leaves its
provider that long to report that it failed. A delivered hour's cash leaves the buyer's escrow for the
provider less the exchange's fee (rounded over the lease, not by the hour), and its voucher part becomes the
provider's receivable on the programme; where the programme reimburses, the buyer's, who has paid for the hour
in cash. A failed hour goes back to where it came from: cash as cash, vouchers as vouchers, so a voucher never
turns into a buyer's money but by a claim on its issuer for hours that were delivered and paid.

Known limit: an outage is of a whole lease-hour, not of some of its GPUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.ledger.models import CNY, Transfer, TransferKind, TransferReason
from exchange.ledger.rules import moved_accounts
from exchange.ledger.service import available_for_update, post
from exchange.settlement import store
from exchange.settlement.models import CASH_VOUCHER_ID, DueLease
from exchange.settlement.rules import hour_fee_fen, hour_parts
from exchange.vouchers.models import Capture
from exchange.vouchers.service import receivable_accounts, record_captures

if TYPE_CHECKING:
    from collections.abc import Collection

    from exchange.kit.database import Connection
    from exchange.ledger.service import AccountDirectory
    from exchange.settlement.models import LeaseFunding


class SettledHour(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One hour of one lease that was settled: for the feed, and for callers that count."""

    lease_id: int
    product_id: str
    delivery_hour: int
    quantity_gpus: int
    delivered: bool
    amount_fen: int
    fee_fen: int


class _Delivery:
    """The rows that a set of due leases comes to."""

    def __init__(
        self,
        partition_id: int,
        at_us: int,
        cash_ids: dict[int, int],
        receivable_ids: dict[tuple[int, str], int],
        fees_id: int,
    ) -> None:
        self.transfers: list[Transfer] = []
        self.captures: list[Capture] = []
        self.records: list[AuditRecord] = []
        self.hours: list[SettledHour] = []
        self.leases: list[tuple[int, int, int, int]] = []
        self.funding: list[LeaseFunding] = []
        self._partition_id = partition_id
        self._at_us = at_us
        self._cash_ids = cash_ids
        self._receivable_ids = receivable_ids
        self._fees_id = fees_id

    def settle(self, lease: DueLease, through_hour: int) -> None:
        """Settle every hour of a lease that is due."""
        funding = {part.voucher_id: part for part in lease.funding}
        failed_hours, fee_fen = lease.failed_hours, lease.fee_fen
        until_hour = min(through_hour + 1, lease.ends_hour)
        for hour in range(lease.next_settlement_hour, until_hour):
            delivered = hour not in lease.outage_hours
            failed_hours += not delivered
            if delivered:
                delivered_hours = hour + 1 - lease.starts_hour - failed_hours
                fee_fen += self._deliver_hour(lease, hour, funding, delivered_hours, fee_fen)
            else:
                self._refund_hour(lease, hour, funding)
        self.leases.append((lease.lease_id, until_hour, failed_hours, fee_fen))
        self.funding.extend(funding.values())

    def _deliver_hour(
        self,
        lease: DueLease,
        hour: int,
        funding: dict[int, LeaseFunding],
        delivered_hours: int,
        taken_fen: int,
    ) -> int:
        """Pay a delivered hour, and return its fee in fen; `delivered_hours` are all so far, this one too."""
        price_fen = lease.price_ticks * lease.quantity_gpus
        fee_fen = 0
        sources = list(funding.values())
        for part in hour_parts(lease.price_ticks, lease.quantity_gpus, sources, delivered=True):
            if not part.amount_fen:
                continue
            source = funding[part.voucher_id]
            funding[part.voucher_id] = msgspec.structs.replace(
                source, captured_fen=source.captured_fen + part.amount_fen
            )
            if part.voucher_id == CASH_VOUCHER_ID:
                fee_fen = hour_fee_fen(
                    price_fen * delivered_hours,
                    lease.fee_bps,
                    taken_fen=taken_fen,
                    cash_fen=part.amount_fen,
                )
                self._move(lease, hour, source, TransferReason.FEE, self._fees_id, fee_fen)
                payee_id, amount_fen = self._cash_ids[lease.provider_id], part.amount_fen - fee_fen
            else:
                claimant_id = claimant_of(lease, source)
                payee_id, amount_fen = self._receivable_ids[claimant_id, source.asset], part.amount_fen
                self.captures.append(
                    Capture(
                        lease_id=lease.lease_id,
                        delivery_hour=hour,
                        voucher_id=part.voucher_id,
                        programme_id=source.programme_id,
                        programme_version=source.programme_version,
                        provider_id=lease.provider_id,
                        claimant_id=claimant_id,
                        amount_fen=part.amount_fen,
                    )
                )
            self._move(lease, hour, source, TransferReason.DELIVERY, payee_id, amount_fen)
        self._record(lease, hour, price_fen, fee_fen, delivered=True)
        return fee_fen

    def _refund_hour(self, lease: DueLease, hour: int, funding: dict[int, LeaseFunding]) -> None:
        """Give a failed hour back to where it came from."""
        sources = list(funding.values())
        for part in hour_parts(lease.price_ticks, lease.quantity_gpus, sources, delivered=False):
            source = funding[part.voucher_id]
            funding[part.voucher_id] = msgspec.structs.replace(
                source, returned_fen=source.returned_fen + part.amount_fen
            )
            reason, payee_id = TransferReason.DELIVERY_REFUND, source.source_account_id
            self._move(lease, hour, source, reason, payee_id, part.amount_fen)
        self._record(lease, hour, lease.price_ticks * lease.quantity_gpus, 0, delivered=False)

    def _move(
        self,
        lease: DueLease,
        hour: int,
        source: LeaseFunding,
        reason: TransferReason,
        to_id: int,
        amount_fen: int,
    ) -> None:
        if amount_fen:
            self.transfers.append(
                Transfer(
                    group_id=lease.lease_id,
                    kind=TransferKind.POSTED,
                    reason=reason,
                    asset=source.asset,
                    debit_account_id=source.escrow_account_id,
                    credit_account_id=to_id,
                    amount_fen=amount_fen,
                    subject_id=lease.lease_id,
                    delivery_hour=hour,
                )
            )

    def _record(
        self, lease: DueLease, hour: int, price_fen: int, hour_fee_fen: int, *, delivered: bool
    ) -> None:
        self.hours.append(
            SettledHour(
                lease_id=lease.lease_id,
                product_id=lease.product_id,
                delivery_hour=hour,
                quantity_gpus=lease.quantity_gpus,
                delivered=delivered,
                amount_fen=price_fen,
                fee_fen=hour_fee_fen,
            )
        )
        self.records.append(
            AuditRecord(
                code="DLVR" if delivered else "REFD",
                event_at_us=self._at_us,
                partition_id=self._partition_id,
                participant_id=lease.provider_id,
                product_id=lease.product_id,
                trade_id=lease.lease_id,
                subject_id=lease.lease_id,
                detail={"delivery_hour": hour, "amount_fen": price_fen, "fee_fen": hour_fee_fen},
            )
        )


def claimant_of(lease: DueLease, part: LeaseFunding) -> int:
    """Return who claims a voucher's part of a delivered hour: the provider, or the buyer who has paid it."""
    return lease.buyer_id if part.reimbursed else lease.provider_id


async def settle_due_hours(
    connection: Connection,
    accounts: AccountDirectory,
    *,
    partition_id: int,
    through_hour: int,
    at_us: int,
    also_moved: Collection[int] = (),
) -> list[SettledHour]:
    """Settle every leased hour of a partition up to and including `through_hour` that is not settled yet.

    Set-based: the statements do not grow with the leases. Runs in the caller's transaction, of which
    `also_moved` are the accounts that it moves money of afterwards: all are locked in one order of ids, so
    that an hour and a claim that is paid meanwhile never wait for each other.
    """
    leases = await _due_leases(connection, partition_id, through_hour)
    if not leases:
        if also_moved:
            await available_for_update(connection, also_moved)
        return []
    cash = await accounts.cash_of(connection, {lease.provider_id for lease in leases})
    receivable_ids = await receivable_accounts(
        connection,
        {
            (claimant_of(lease, part), part.asset)
            for lease in leases
            for part in lease.funding
            if part.asset != CNY
        },
        at_us,
    )
    delivery = _Delivery(
        partition_id,
        at_us,
        {participant_id: ids.cash_id for participant_id, ids in cash.items()},
        receivable_ids,
        await accounts.fees_id(connection),
    )
    for lease in leases:
        delivery.settle(lease, through_hour)
    if also_moved:
        await available_for_update(connection, moved_accounts(delivery.transfers).union(also_moved))
    await post(connection, delivery.transfers, at_us)
    await record_captures(connection, delivery.captures, at_us)
    await store.advance_leases(connection, delivery.leases)
    await store.advance_lease_funding(connection, delivery.funding)
    await insert_audit_records(connection, delivery.records)
    return delivery.hours


async def _due_leases(connection: Connection, partition_id: int, through_hour: int) -> list[DueLease]:
    """Read the due leases, locked, with their money and outages: three statements, however many."""
    rows = await store.due_leases(connection, partition_id, through_hour)
    if not rows:
        return []
    lease_ids = [row["id"] for row in rows]
    funding: dict[int, list[LeaseFunding]] = {lease_id: [] for lease_id in lease_ids}
    for part in await store.funding_of_leases(connection, lease_ids):
        funding[part.lease_id].append(part)
    outages: dict[int, set[int]] = {lease_id: set() for lease_id in lease_ids}
    for outage in await store.outages_of_leases(connection, lease_ids):
        outages[outage["lease_id"]].add(outage["delivery_hour"])
    return [
        DueLease(
            lease_id=row["id"],
            product_id=row["product_id"],
            buyer_id=row["buyer_id"],
            provider_id=row["provider_id"],
            quantity_gpus=row["quantity_gpus"],
            starts_hour=row["starts_hour"],
            ends_hour=row["ends_hour"],
            price_ticks=row["price_ticks"],
            fee_bps=row["fee_bps"],
            next_settlement_hour=row["next_settlement_hour"],
            failed_hours=row["failed_hours"],
            fee_fen=row["fee_fen"],
            funding=tuple(funding[row["id"]]),
            outage_hours=frozenset(outages[row["id"]]),
        )
        for row in rows
    ]
