"""The spans of a batch: parts of it in which no ask that sells becomes smaller afterwards.

A smaller ask keeps what it has sold, in some hours more than its new quantity; it only sells no more there.
So the database's guard (`lease_within_ask`) must meet each sale beside the quantity that the ask had then,
and not beside what a later request of the same commit made of it. A span ends where an ask shrinks that has
sold in it; sales stay in the order in which they were made. Nearly every batch is one span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from exchange.settlement.service import Settlement


class Span(msgspec.Struct):
    """A span after the first: which part of the settlement its sales are, and the asks it begins with.

    `reduced_to_gpus` are the quantities of those that shrank since the span before, by ask.
    """

    part: int
    reduced_to_gpus: dict[int, int]


class Spans:
    """Follows what asks sell and how they shrink within one batch."""

    def __init__(self) -> None:
        self.later: list[Span] = []
        """The spans after the first."""
        self.gpus_at_first: dict[int, int] = {}
        """By ask that shrinks in a later span: its quantity in the first."""
        self._sold: set[int] = set()

    def sell(self, ask_id: int) -> None:
        """Note that an ask sells."""
        self._sold.add(ask_id)

    def reduce(self, ask_id: int, from_gpus: int, to_gpus: int, settlement: Settlement) -> None:
        """Note that an ask becomes smaller; where it has sold, the settlement begins another part."""
        if ask_id in self._sold:
            self._sold.clear()
            self.later.append(Span(settlement.part(), {}))
        if self.later:
            self.gpus_at_first.setdefault(ask_id, from_gpus)
            self.later[-1].reduced_to_gpus[ask_id] = to_gpus
