"""Which of several programmes pay for one order, and how much: their stacking rules as arithmetic. Pure.

Programmes come in spending order. One that does not stack (`none`) pays alone where it comes first, and is
left out elsewhere; where one asks for the `higher_of`, the one that would pay most pays alone, the earlier
one of equals; otherwise each pays its share as long as all together stay below the lowest ceiling.

Known limit: an order's money has room for one programme, so a programme with a ceiling cannot be stored yet
(`programme_models.REFUSED_VALUES`), and what is computed here has at most one part for a real order.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from exchange.vouchers.programme_models import BASIS_POINTS


class Aid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one programme would pay of an order on its own, and how it bears others beside it."""

    programme_id: int
    share_fen: int
    stacking: Literal["none", "higher_of", "ceiling"]
    ceiling_bps: int = BASIS_POINTS


def stack(aids: Sequence[Aid], contract_fen: int) -> list[tuple[int, int]]:
    """Return (programme id, fen) of those that pay, in spending order.

    The parts never sum to more than the contract, nor than the lowest ceiling of those that pay.
    """
    if not aids:
        return []
    if any(aid.stacking == "higher_of" for aid in aids):
        best = max(aids, key=lambda aid: aid.share_fen)
        return [(best.programme_id, best.share_fen)]
    if aids[0].stacking == "none":
        return [(aids[0].programme_id, aids[0].share_fen)]
    stackable = [aid for aid in aids if aid.stacking == "ceiling"]
    left_fen = contract_fen * min(aid.ceiling_bps for aid in stackable) // BASIS_POINTS
    parts = []
    for aid in stackable:
        part_fen = min(aid.share_fen, left_fen)
        left_fen -= part_fen
        parts.append((aid.programme_id, part_fen))
    return parts
