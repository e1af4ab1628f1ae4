"""The settlement tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.kit.database import from_us
from exchange.kit.queries import load_queries
from exchange.kit.rows import json_rows
from exchange.settlement.capacity_models import FailedHour, OwnAsk, SoldSpan
from exchange.settlement.models import Aggressor, Hold, LeaseFunding, Trade

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from exchange.kit.bundle import Writer
    from exchange.kit.database import Connection, Record
    from exchange.settlement.trade_models import TradeFilter

QUERIES = load_queries("exchange.settlement")


async def write_batch(
    connection: Writer,
    holds: Sequence[Hold],
    trades: Sequence[Trade],
    funding: Sequence[LeaseFunding],
    at_us: int,
) -> None:
    """Store holds as they stand, trades, the lease of each trade and its funding, in one statement.

    The database refuses an oversold ask (CheckViolation, lease_within_ask).
    """
    await connection.execute(
        QUERIES.write_batch, json_rows(holds), json_rows(trades), json_rows(funding), from_us(at_us)
    )


async def live_holds(connection: Connection, partition_id: int) -> list[Hold]:
    """The holds of a partition's live bids, in spending order."""
    return [_hold(row) for row in await connection.fetch(QUERIES.live_holds, partition_id)]


async def holds_of_bids(connection: Connection, order_ids: Collection[int]) -> list[Hold]:
    """The holds of some bids, in spending order."""
    return [_hold(row) for row in await connection.fetch(QUERIES.holds_of_bids, list(order_ids))]


def _hold(row: Record) -> Hold:
    return Hold(
        order_id=row["order_id"],
        voucher_id=row["voucher_id"],
        position=row["position"],
        programme_id=row["programme_id"],
        programme_version=row["programme_version"],
        cap_year=row["cap_year"],
        asset=row["asset"],
        source_account_id=row["source_account_id"],
        escrow_account_id=row["escrow_account_id"],
        placed_fen=row["placed_fen"],
        committed_fen=row["committed_fen"],
        released_fen=row["released_fen"],
    )


async def holds_of_orders(connection: Connection, order_ids: Collection[int]) -> list[Record]:
    """What some orders have set aside, in spending order."""
    return await connection.fetch(QUERIES.holds_of_orders, list(order_ids))


async def fills_of_orders(connection: Connection, order_ids: Collection[int]) -> list[Trade]:
    """The trades of some orders, oldest first."""
    return [
        Trade(
            trade_id=row["id"],
            partition_id=row["partition_id"],
            sequence=row["sequence"],
            product_id=row["product_id"],
            bid_order_id=row["bid_order_id"],
            ask_order_id=row["ask_order_id"],
            buyer_id=row["buyer_id"],
            provider_id=row["provider_id"],
            aggressor=Aggressor(row["aggressor"]),
            quantity_gpus=row["quantity_gpus"],
            starts_hour=row["starts_hour"],
            ends_hour=row["ends_hour"],
            price_ticks=row["price_ticks"],
            notional_fen=row["notional_fen"],
            voucher_fen=row["voucher_fen"],
            reimbursable_fen=row["reimbursable_fen"],
            programme_ids=tuple(row["programme_ids"]),
            fee_bps=row["fee_bps"],
        )
        for row in await connection.fetch(QUERIES.fills_of_orders, list(order_ids))
    ]


async def plan_each_time(connection: Connection) -> None:
    """Plan the rest of the transaction for the filters that it is given."""
    await connection.execute(QUERIES.plan_each_time)


async def trades_of_participant(
    connection: Connection, participant_id: int, wanted: TradeFilter, limit: int, *, is_buyer: bool
) -> list[Record]:
    """A page of a buyer's or a provider's trades, newest first, each with its own order's client order id."""
    return await connection.fetch(
        QUERIES.trades_of_participant,
        participant_id,
        is_buyer,
        wanted.before_id,
        wanted.product_id,
        wanted.order_id,
        None if wanted.traded_from_us is None else from_us(wanted.traded_from_us),
        None if wanted.traded_until_us is None else from_us(wanted.traded_until_us),
        limit,
    )


async def due_leases(connection: Connection, partition_id: int, through_hour: int) -> list[Record]:
    """Leases with an unsettled hour up to and including `through_hour`, locked."""
    return await connection.fetch(QUERIES.due_leases, partition_id, through_hour)


async def funding_of_leases(connection: Connection, lease_ids: Collection[int]) -> list[LeaseFunding]:
    """The escrowed parts of some leases, cash first."""
    return [
        LeaseFunding(
            lease_id=row["lease_id"],
            voucher_id=row["voucher_id"],
            asset=row["asset"],
            source_account_id=row["source_account_id"],
            escrow_account_id=row["escrow_account_id"],
            committed_fen=row["committed_fen"],
            captured_fen=row["captured_fen"],
            returned_fen=row["returned_fen"],
            programme_id=row["programme_id"],
            programme_version=row["programme_version"],
            reimbursed=row["reimbursed"],
        )
        for row in await connection.fetch(QUERIES.funding_of_leases, list(lease_ids))
    ]


async def outages_of_leases(connection: Connection, lease_ids: Collection[int]) -> list[Record]:
    """The hours of some leases that were reported as failed."""
    return await connection.fetch(QUERIES.outages_of_leases, list(lease_ids))


async def advance_leases(connection: Connection, settled: Sequence[tuple[int, int, int, int]]) -> None:
    """Store (lease id, next hour to settle, hours failed so far, fee taken so far). One statement."""
    await connection.execute(
        QUERIES.advance_leases,
        [row[0] for row in settled],
        [row[1] for row in settled],
        [row[2] for row in settled],
        [row[3] for row in settled],
    )


async def advance_lease_funding(connection: Connection, funding: Sequence[LeaseFunding]) -> None:
    """Store what each part has paid out and given back so far. One statement."""
    await connection.execute(
        QUERIES.advance_lease_funding,
        [part.lease_id for part in funding],
        [part.voucher_id for part in funding],
        [part.captured_fen for part in funding],
        [part.returned_fen for part in funding],
    )


async def leases_of_participant(
    connection: Connection,
    participant_id: int,
    before_id: int,
    limit: int,
    *,
    product_id: str | None,
    statuses: Collection[str] | None,
    hour: int,
) -> list[Record]:
    """A page of a buyer's or a provider's leases, newest first; None restricts nothing."""
    return await connection.fetch(
        QUERIES.leases_of_participant,
        participant_id,
        before_id,
        limit,
        product_id,
        None if statuses is None else list(statuses),
        hour,
    )


async def lease_of_participant(connection: Connection, lease_id: int, participant_id: int) -> Record | None:
    """One lease, if it is the participant's own."""
    return await connection.fetchrow(QUERIES.lease_of_participant, lease_id, participant_id)


async def lock_lease(connection: Connection, lease_id: int, provider_id: int) -> Record | None:
    """A provider's own lease, locked."""
    return await connection.fetchrow(QUERIES.lock_lease, lease_id, provider_id)


async def insert_outages(
    connection: Connection, lease_id: int, hours: Sequence[int], reason: str, reported_by: int, at_us: int
) -> None:
    """Store reported hours; one already reported stays as it was first reported."""
    await connection.execute(
        QUERIES.insert_outages, lease_id, list(hours), reason, reported_by, from_us(at_us)
    )


async def own_asks(
    connection: Connection, provider_id: int, starts_hour: int, ends_hour: int, product_id: str | None
) -> list[OwnAsk]:
    """A provider's asks, with what each has sold, over some hours."""
    return [
        OwnAsk(
            product_id=row["product_id"],
            quantity_gpus=row["quantity_gpus"],
            starts_hour=row["starts_hour"],
            ends_hour=row["ends_hour"],
            offered_until_hour=row["offered_until_hour"],
            is_live=row["is_live"],
            loads=tuple(
                zip(row["starts_hours"] or (), row["ends_hours"] or (), row["sold_gpus"] or (), strict=True)
            ),
        )
        for row in await connection.fetch(QUERIES.own_asks, provider_id, starts_hour, ends_hour, product_id)
    ]


async def sold_spans(
    connection: Connection, provider_id: int, starts_hour: int, ends_hour: int, product_id: str | None
) -> list[SoldSpan]:
    """What a provider has sold of some hours."""
    return [
        SoldSpan(
            product_id=row["product_id"],
            starts_hour=row["starts_hour"],
            ends_hour=row["ends_hour"],
            next_settlement_hour=row["next_settlement_hour"],
            gpus=row["gpus"],
            fen_per_hour=row["fen_per_hour"],
        )
        for row in await connection.fetch(QUERIES.sold_spans, provider_id, starts_hour, ends_hour, product_id)
    ]


async def failed_hours(
    connection: Connection, provider_id: int, starts_hour: int, ends_hour: int, product_id: str | None
) -> list[FailedHour]:
    """What a provider reported as not delivered in some hours."""
    return [
        FailedHour(
            product_id=row["product_id"],
            hour=row["delivery_hour"],
            is_settled=row["is_settled"],
            gpus=row["gpus"],
            fen=row["fen"],
        )
        for row in await connection.fetch(
            QUERIES.failed_hours, provider_id, starts_hour, ends_hour, product_id
        )
    ]
