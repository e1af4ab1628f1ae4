"""A provider's own capacity and earnings: few statements over own rows, whatever the span.

Known limits: what an ask offered is known by the hour in which it ended: hours that began before that were on
offer to the end. An ask reduced to less GPUs counts as if it had always offered those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.ledger.service import income_by_hour
from exchange.settlement import store
from exchange.settlement.capacity_models import HourIncome
from exchange.settlement.capacity_rules import capacity_of, day_edges, earnings_of

if TYPE_CHECKING:
    from exchange.kit.auth import Principal
    from exchange.kit.database import Connection
    from exchange.settlement.capacity_models import CapacityView, EarningsView


async def own_capacity(
    connection: Connection,
    principal: Principal,
    *,
    product_id: str | None,
    starts_hour: int,
    ends_hour: int,
    first_hour: int,
) -> CapacityView:
    """What the caller listed, sold, has free, delivered and failed to deliver, by product and hour.

    Run it in a snapshot. `first_hour` is the first hour still for sale.
    """
    provider_id = principal.participant_id
    span = starts_hour, ends_hour
    return capacity_of(
        await store.own_asks(connection, provider_id, *span, product_id),
        await store.sold_spans(connection, provider_id, *span, product_id),
        await store.failed_hours(connection, provider_id, *span, product_id),
        starts_hour=starts_hour,
        ends_hour=ends_hour,
        first_hour=first_hour,
    )


async def own_earnings(
    connection: Connection,
    principal: Principal,
    *,
    starts_hour: int,
    ends_hour: int,
    utc_offset_hours: int,
) -> EarningsView:
    """What the caller's hours bring, day by day; run it in a snapshot."""
    provider_id = principal.participant_id
    income = await income_by_hour(connection, provider_id, starts_hour, ends_hour)
    return earnings_of(
        await store.sold_spans(connection, provider_id, starts_hour, ends_hour, None),
        await store.failed_hours(connection, provider_id, starts_hour, ends_hour, None),
        [HourIncome(*each) for each in income],
        day_edges(starts_hour, ends_hour, utc_offset_hours),
    )
