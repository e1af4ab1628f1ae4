"""Bids, fills and delivered hours as plain as can be: what vouchers pay of them, in fractions.

Nothing is matched here. What traded, and what each voucher paid of it, is told by the exchange; the model
says within which bounds that must lie, and what follows from it.
"""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from math import floor

import msgspec

from tests.plain_vouchers import PlainProgramme, PlainVoucher

CASH = 0
"""Stands for the buyer's cash where else the id of a voucher stands."""


class SeenLease(msgspec.Struct, frozen=True, kw_only=True):
    """A fill as the exchange tells it; `parts` is what each voucher, and the cash, committed to it."""

    id: int
    sequence: int
    bid_id: int
    ask_id: int
    buyer_id: int
    provider_id: int
    price: int
    gpus: int
    starts_hour: int
    ends_hour: int
    voucher_fen: int
    reimbursable_fen: int
    parts: Mapping[int, int]

    @property
    def hour_price_fen(self) -> int:
        """What one hour of it costs."""
        return self.price * self.gpus

    @property
    def notional_fen(self) -> int:
        """What all of it costs."""
        return self.hour_price_fen * (self.ends_hour - self.starts_hour)


class PlainAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Capacity on offer, with the rules that admitted its provider, and its list price, back then."""

    provider_id: int
    admitted_by: frozenset[tuple[int, int]]
    list_price: int | None


class PlainShare:
    """What one programme pays of one bid; `placed` is what each voucher set aside, in spending order."""

    def __init__(
        self,
        programme: PlainProgramme,
        rate: Fraction,
        limit: int,
        placed: list[tuple[PlainVoucher, int]],
    ) -> None:
        """Begin with nothing paid; `limit` is the part of the bid's own limit that the rate is of."""
        self.programme = programme
        self.rules = programme.rules
        self.version = len(programme.versions)
        self.run = programme.runs[-1]
        self.rate = rate
        self.limit = limit
        self.placed = placed
        self.placed_fen = sum(fen for _, fen in placed)
        self.eligible_fen = 0
        self.returned_fen = 0
        self.held_fen: Counter[int] = Counter()
        self.paid_fen: Counter[int] = Counter()
        """Both by voucher."""

    @property
    def used_fen(self) -> int:
        """What it sets aside, committed and was delivered, less what came back."""
        return self.held_fen.total() + self.paid_fen.total() - self.returned_fen

    def place(self) -> None:
        """Set the vouchers' money aside."""
        for voucher, fen in self.placed:
            self.held_fen[voucher.id] = fen
            voucher.move("available", "held", fen)

    def keep(self, voucher: PlainVoucher, fen: int) -> None:
        """Give back what of a voucher is set aside beyond an amount."""
        freed_fen = self.held_fen[voucher.id] - fen
        assert freed_fen >= 0, "an order sets aside more than it did before"
        self.held_fen[voucher.id] = fen
        voucher.move("held", "available", freed_fen)

    def due_fen(self, more_fen: int = 0) -> int:
        """Return what it pays of its eligible fills, and of so much more of them."""
        return min(floor(self.rate * (self.eligible_fen + more_fen)), self.placed_fen)

    def eligible_price(self, ask: PlainAsk, price: int, reference: int) -> int:
        """Return the part of a fill's price that the share is of."""
        if (self.programme.id, self.run) not in ask.admitted_by:
            return 0
        if self.rules.price_cap == "list":
            return 0 if ask.list_price is None else min(price, ask.list_price)
        return min(price, reference) if self.rules.price_cap == "reference" else price

    def pay(self, lease: SeenLease) -> int:
        """Take in what its vouchers paid of a fill, each only once those before it are used up."""
        paid_fen = 0
        for voucher, fen in self.placed:
            part_fen = lease.parts.get(voucher.id, 0)
            self.paid_fen[voucher.id] += part_fen
            assert self.paid_fen[voucher.id] <= fen, "a voucher pays more than it set aside"
            self.held_fen[voucher.id] -= part_fen
            voucher.move("held", "committed", part_fen)
            paid_fen += part_fen
        left_fen = self.paid_fen.total()
        for voucher, fen in self.placed:
            in_order_fen = min(left_fen, fen)
            assert self.paid_fen[voucher.id] == in_order_fen, "vouchers are not spent soonest-expiring first"
            left_fen -= in_order_fen
        return paid_fen

    def kept(self, open_fen: int) -> list[tuple[PlainVoucher, int]]:
        """Return what each voucher still sets aside, with so much that can still be filled at the limit."""
        left = self.due_fen(open_fen)
        kept = []
        for voucher, fen in self.placed:
            part = min(left, fen)
            left -= part
            kept.append((voucher, max(part - self.paid_fen[voucher.id], 0)))
        return kept


class PlainBid:
    """A bid and what pays for it."""

    def __init__(
        self,
        *,
        buyer_id: int,
        limit: int,
        hours: int,
        gpus: int,
        shares: list[PlainShare],
        only_eligible: bool,
        year: int,
    ) -> None:
        """Begin unfilled; nothing is set aside yet."""
        self.buyer_id = buyer_id
        self.limit = limit
        self.hours = hours
        self.open_gpus = gpus
        self.shares = shares
        self.only_eligible = only_eligible
        self.year = year
        self.is_over = False
        self.filled_fen = 0

    def place(self) -> None:
        """Set its vouchers' money aside."""
        for share in self.shares:
            share.place()

    def release(self) -> None:
        """Give back what of its vouchers it need no longer set aside."""
        for share in self.shares:
            open_fen = 0 if self.is_over else share.limit * self.hours * self.open_gpus
            for voucher, fen in share.kept(open_fen):
                share.keep(voucher, 0 if self.is_over else fen)

    @property
    def aid_fen(self) -> int:
        """What vouchers paid of it, at once or to be reimbursed."""
        return sum(share.paid_fen.total() for share in self.shares)

    def cash_bounds(self) -> tuple[int, int]:
        """Return between which amounts its cash is set aside.

        With admitted providers only, what all shares leave of its open part, else all of it; a fen more or
        less for each programme after the first, which rounds off one of its own.
        """
        if self.is_over:
            return 0, 0
        whole_fen = self.limit * self.hours * self.open_gpus
        instant = [share for share in self.shares if not share.rules.reimburses]
        spare_fen = max(len(self.shares) - 1, 0)
        certain = [share for share in instant if self.only_eligible and share.rules.price_cap != "list"]
        paid_fen = sum(
            share.due_fen(share.limit * self.hours * self.open_gpus) - share.paid_fen.total()
            for share in certain
        )
        return whole_fen - paid_fen - spare_fen, whole_fen - paid_fen + spare_fen

    def fill(self, lease: SeenLease, ask: PlainAsk, reference: int) -> None:
        """Take in a fill, and assert that it is paid as it must be."""
        gpu_hours = lease.gpus * self.hours
        assert lease.ends_hour - lease.starts_hour == self.hours
        assert lease.price <= self.limit
        ids = {CASH, *(voucher.id for share in self.shares for voucher, _ in share.placed)}
        assert set(lease.parts) <= ids, "a voucher pays that set nothing aside"
        instant_fen = reimbursable_fen = late_fen = 0
        for share in self.shares:
            eligible = share.eligible_price(ask, lease.price, reference)
            share.eligible_fen += eligible * gpu_hours
            paid_fen = share.pay(lease)
            behind_fen = share.due_fen() - share.paid_fen.total()
            assert behind_fen >= 0, "a programme pays more than its share, rounded down"
            late_fen += behind_fen
            if share.rules.reimburses:
                reimbursable_fen += paid_fen
            else:
                instant_fen += paid_fen
        assert (lease.voucher_fen, lease.reimbursable_fen) == (instant_fen, reimbursable_fen)
        # Only of a fill that vouchers pay wholly can a share be late, by a fen for each further programme.
        assert late_fen <= max(len(self.shares) - 1, 0)
        assert not late_fen or instant_fen + reimbursable_fen == lease.notional_fen
        assert lease.parts.get(CASH, 0) == lease.notional_fen - instant_fen, "price less vouchers is cash"
        assert reimbursable_fen <= lease.parts.get(CASH, 0), "more is reimbursed than was paid"
        self.filled_fen += lease.notional_fen
        self.open_gpus -= lease.gpus
        paying = [share.rules.ceiling for share in self.shares]
        assert self.aid_fen <= min([Fraction(1), *paying]) * self.filled_fen, "aid is above a ceiling"


class PlainLease:
    """A fill's hours, one after the other; `open_fen` is what of each part is in escrow."""

    def __init__(self, seen: SeenLease, bid: PlainBid) -> None:
        """Begin with all of it in escrow."""
        self.seen = seen
        self.bid = bid
        self.open_fen = dict(seen.parts)
        self.follows = {
            voucher.id for share in bid.shares if share.rules.reimburses for voucher, _ in share.placed
        }
        self.failing: set[int] = set()
        self.next_hour = seen.starts_hour
        self.captured: dict[tuple[int, int], int] = {}
        """(hour, voucher) -> fen."""
        self.delivered_fen = self.fee_fen = 0
        """The price of the hours that were delivered, and what the exchange took of it."""

    @property
    def settled_hours(self) -> range:
        """Which of its hours are settled."""
        return range(self.seen.starts_hour, self.next_hour)

    def share_of(self, voucher_id: int) -> PlainShare:
        """Return the share that a voucher paid a part of."""
        return next(
            share for share in self.bid.shares if any(each.id == voucher_id for each, _ in share.placed)
        )

    @property
    def hours_left(self) -> int:
        """How many of its hours are not settled."""
        return self.seen.ends_hour - self.next_hour

    def settle(self, moved: Mapping[int, int]) -> None:
        """Take in what each part paid of the next hour, or got back of it where it failed."""
        paying = {part: fen for part, fen in self.open_fen.items() if part not in self.follows}
        paid_fen = sum(moved.get(part, 0) for part in paying)
        assert paid_fen == self.seen.hour_price_fen, "the parts of an hour are not its price"
        for part, fen in moved.items():
            self.open_fen[part] -= fen
            assert self.open_fen[part] >= 0
            if part and self.next_hour not in self.failing:
                self.captured[self.next_hour, part] = fen
        self.next_hour += 1
        if not self.hours_left:
            assert not any(self.open_fen.values()), "something is left of a lease that is over"
        self._keep_rates()

    def _keep_rates(self) -> None:
        """Each voucher has paid its part of the hours delivered so far, and has that of the failed ones back.

        It is off by less than a fen, and never to the good of its buyer; where several vouchers meet, and no
        cash is there to take what they round, by a fen for each other one.
        """
        hours = self.seen.ends_hour - self.seen.starts_hour
        failed = len(self.failing & {*self.settled_hours})
        delivered = len(self.settled_hours) - failed
        vouchers = self.open_fen.keys() - {CASH}
        captured = Counter[int]()
        for (_, part), fen in self.captured.items():
            captured[part] += fen
        for part in vouchers:
            slack = 0 if part in self.follows else len(vouchers - self.follows) - 1
            share = Fraction(self.seen.parts[part] * delivered, hours)
            assert share - 1 - slack < captured[part] <= share + slack, "not its share was captured"
            returned = self.seen.parts[part] - self.open_fen[part] - captured[part]
            share = Fraction(self.seen.parts[part] * failed, hours)
            assert share - slack <= returned < share + 1 + slack, "not its share came back"
        following = sum(captured[part] for part in self.follows)
        cash_fen = self.seen.hour_price_fen * delivered - sum(
            captured[part] for part in vouchers - self.follows
        )
        assert following <= cash_fen, "more is reimbursed than was paid so far"
