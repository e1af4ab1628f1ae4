"""How a budget burns: where its money had come to, moment by moment.

Folded from transfers, as `statements` are, and so a point is what a statement of its moment says. Points are
the ends of whole hours, or of the issuers' own calendar days (China Standard Time), and last the moment that
was asked for.

Known limit: every transfer of the programmes up to the moment is read.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from exchange.claims import store
from exchange.claims.rules import CLAIMANT_KINDS
from exchange.claims.statement_models import BurnPoint
from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY, US_PER_HOUR, date_begins_us, format_rfc3339
from exchange.kit.database import Connection
from exchange.kit.fields import format_cny
from exchange.ledger.models import TransferReason
from exchange.vouchers.rules import sight_of

Interval = Literal["hour", "day"]
POINTS_DEFAULT: Final = 90

_R = TransferReason
_DAY_FIRST_US: Final = date_begins_us(dt.date(1970, 1, 1))
"""The begin of a day; all others are whole days away, as the issuers' time zone never changes its offset."""


def moments_of(as_of_us: int, interval: Interval, count: int) -> list[int]:
    """Return at most `count` moments in order: the last ends of an interval before one, and that one.

    None but the last lies before 1970.
    """
    step_us, first_us = (US_PER_HOUR, 0) if interval == "hour" else (US_PER_DAY, _DAY_FIRST_US)
    last_us = first_us + (as_of_us - 1 - first_us) // step_us * step_us
    ends = (last_us - step_us * back for back in range(count - 2, -1, -1))
    return [*(each for each in ends if each >= 0), as_of_us]


def points_of(moments_us: Sequence[int], moved: Mapping[tuple[int, TransferReason], int]) -> list[BurnPoint]:
    """Return where the money had come to at each moment, from the last on at which there was none.

    `moved` has what moved for a reason after the moment before, up to the moment of an index.
    """
    so_far: dict[TransferReason, int] = defaultdict(int)
    points: list[BurnPoint] = []
    for index, at_us in enumerate(moments_us):
        for reason in TransferReason:
            so_far[reason] += moved.get((index, reason), 0)
        points.append(_point(at_us, so_far))
    first = min((index for index, _ in moved), default=len(points) + 1)
    return points[max(first - 1, 0) :]


def _point(at_us: int, moved: Mapping[TransferReason, int]) -> BurnPoint:
    gone_fen = moved[_R.VOUCHER_EXPIRY] + moved[_R.VOUCHER_REVOCATION]
    return BurnPoint(
        at=format_rfc3339(at_us),
        budget_cny=format_cny(moved[_R.PROGRAMME_BUDGET] - moved[_R.PROGRAMME_BUDGET_RETURN]),
        issued_cny=format_cny(moved[_R.VOUCHER_ISSUE] - gone_fen),
        committed_cny=format_cny(moved[_R.TRADE] - moved[_R.DELIVERY_REFUND]),
        captured_cny=format_cny(moved[_R.DELIVERY]),
        paid_cny=format_cny(moved[_R.CLAIM_REDEMPTION] - moved[_R.CLAWBACK_RETURN]),
    )


async def burn_of(
    connection: Connection,
    principal: Principal,
    moments_us: Sequence[int],
    programme_id: int | None = None,
) -> list[BurnPoint]:
    """Return how the principal's programmes, or one of them, burnt up to each of some moments, in order."""
    sight = sight_of(principal, *CLAIMANT_KINDS)
    if sight is None or sight.party_id is not None:
        return []
    moved = await store.moved_between(
        connection, moments_us, issuer_id=sight.issuer_id, programme_id=programme_id
    )
    return points_of(moments_us, moved)
