"""Which of several programmes pay for one order, and at which rates: stacking rules as arithmetic. Pure.

Programmes come in spending order. One that does not stack (`none`) pays alone where it comes first, and is
left out elsewhere; where one asks for the `higher_of`, the one that would pay most pays alone, the earlier
one of equals. Otherwise each in turn pays its rate, or what the ceilings of all that pay leave of it; one for
which nothing is left, or whose own ceiling the others fill already, pays nothing.

The outcome is a rate for each, not an amount: so the fills of the order together keep the ceilings at any
moment, whatever their prices and whoever sells; of one fill by itself each may pay up to a fen more, because
shares are rounded over the order. Where several programmes pay, one whose vouchers do not cover
its whole share pays a lower rate of every fill, so that the next has the room that it leaves. Rates are whole
basis points, rounded down.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from exchange.programmes.models import BASIS_POINTS


class Aid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one programme would pay of an order on its own, and how it bears others beside it.

    `eligible_fen` is what its rate is of, `free_fen` what its vouchers can pay at most.
    """

    programme_id: int
    rate_bps: int
    eligible_fen: int
    free_fen: int
    stacking: Literal["none", "higher_of", "ceiling"]
    ceiling_bps: int = BASIS_POINTS

    @property
    def amount_fen(self) -> int:
        """What it would pay alone."""
        return min(self.eligible_fen * self.rate_alone_bps // BASIS_POINTS, self.free_fen)

    @property
    def rate_alone_bps(self) -> int:
        """The rate at which it would pay alone: its own ceiling holds for it too."""
        return min(self.rate_bps, self.ceiling_bps)

    @property
    def covered_bps(self) -> int:
        """The rate of which its vouchers cover the whole order."""
        if self.amount_fen < self.free_fen or not self.eligible_fen:
            return self.rate_alone_bps
        return min(self.rate_alone_bps, self.free_fen * BASIS_POINTS // self.eligible_fen)


def stack(aids: Sequence[Aid]) -> list[tuple[int, int]]:
    """Return (programme id, rate in basis points) of those that pay, in spending order.

    The rates are positive, and sum to at most the lowest ceiling of those that pay, and so to at most one.
    """
    if not aids:
        return []
    if any(aid.stacking == "higher_of" for aid in aids):
        best = max(aids, key=lambda aid: aid.amount_fen)
        return _alone(best)
    if aids[0].stacking == "none":
        return _alone(aids[0])
    paying: list[tuple[int, int]] = []
    paid_bps, ceiling_bps = 0, BASIS_POINTS
    for aid in aids:
        if aid.stacking != "ceiling":
            continue
        rate_bps = min(aid.covered_bps, min(ceiling_bps, aid.ceiling_bps) - paid_bps)
        if rate_bps > 0:
            paying.append((aid.programme_id, rate_bps))
            paid_bps += rate_bps
            ceiling_bps = min(ceiling_bps, aid.ceiling_bps)
    if len(paying) == 1:  # what the others would have needed room for
        return _alone(next(aid for aid in aids if aid.programme_id == paying[0][0]))
    return paying


def _alone(aid: Aid) -> list[tuple[int, int]]:
    return [(aid.programme_id, aid.rate_alone_bps)] if aid.rate_alone_bps else []
