"""What the statements over trades are given for a filter and a place. Pure."""

from datetime import datetime
from typing import Any

from exchange.kit.clock import datetime_of
from exchange.oversight.models import Place, TradeFilter


def moment(at_us: int | None) -> datetime | None:
    """Return a time as a statement takes it."""
    return None if at_us is None else datetime_of(at_us)


def narrowing(wanted: TradeFilter) -> tuple[Any, ...]:
    """Return what trades must fit."""
    return (
        moment(wanted.traded_from_us),
        moment(wanted.traded_until_us),
        wanted.product_ids,
        wanted.participant_id,
        wanted.group_member_ids,
        wanted.buyer_id,
        wanted.provider_id,
        wanted.aggressor,
        wanted.price_ticks_min,
        wanted.price_ticks_max,
        wanted.programme_id,
        wanted.is_voucher_funded,
        wanted.region_member_ids,
    )


def paging(wanted: TradeFilter, after: Place | None, limit: int | None) -> tuple[Any, ...]:
    """Return the same, from where to go on, and how far."""
    place = (None, None) if after is None else (datetime_of(after.traded_at_us), after.trade_id)
    return (*narrowing(wanted), *place, limit)
