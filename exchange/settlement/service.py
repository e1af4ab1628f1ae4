"""Hop 5 of an order: what the events of a batch do to money, as one set of rows written in one go.

`Settlement` gathers, in memory and in sequence order, the transfers, holds, trades and leases of one batch of
the sequencer. `write` stores them in the batch's transaction. Nothing is read: all that is needed to settle a
fill stands in the bid's `FundedOrder`.

The order of things for one bid, and the only place that says it:
1. `place`: its most possible cost is set aside (pending), cash and vouchers apart;
2. `trade`: the fill's price is committed to escrow (posted), vouchers first by their share, cash for the
   rest; what the better price freed goes back; a lease opens;
3. `close`: when the order can fill no more, what is still set aside goes back.

A programme that reimburses is held and committed like any other, beside the cash and not in its place.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from exchange.kit.ids import new_id
from exchange.ledger.models import Transfer, TransferKind, TransferReason
from exchange.ledger.rules import moved_accounts
from exchange.ledger.service import post
from exchange.settlement import store
from exchange.settlement.models import Aggressor, FundedOrder, Hold, LeaseFunding, Trade
from exchange.settlement.rules import eligible_ticks, holds_by_share, kept_by_hold, targets_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from exchange.kit.bundle import Writer
    from exchange.kit.database import Connection
    from matching.events import Traded

# Reading a member off its class is slow, and every order asks.
_PENDING: Final = TransferKind.PENDING
_POST_PENDING: Final = TransferKind.POST_PENDING
_VOID_PENDING: Final = TransferKind.VOID_PENDING
_HOLD: Final = TransferReason.HOLD
_HOLD_RELEASE: Final = TransferReason.HOLD_RELEASE
_TRADE: Final = TransferReason.TRADE
_BUY: Final = Aggressor.BUY
_SELL: Final = Aggressor.SELL


class Taken(Protocol):
    """What a batch has set aside so far, less what it gave back; see `Settlement`."""

    @property
    def net_held_fen(self) -> Counter[int]:
        """By source account."""

    @property
    def net_used_fen(self) -> Counter[tuple[int, int, int]]:
        """By (programme, company or trade group, year)."""


class TakenWithout(msgspec.Struct, frozen=True):
    """What a batch would have set aside without one of its bids."""

    net_held_fen: Counter[int]
    net_used_fen: Counter[tuple[int, int, int]]


class Settlement:
    """The money side of one batch, or of a chunk of it; `write` ends it."""

    def __init__(self, *, partition_id: int, fee_bps: int) -> None:
        self.trades: list[Trade] = []
        self.net_held_fen: Counter[int] = Counter()
        """By source account: set aside less given back in this batch; its later orders cannot use that."""
        self.net_used_fen: Counter[tuple[int, int, int]] = Counter()
        """The same by (programme, company or trade group, year), where a yearly cap counts what is used."""
        self._partition_id = partition_id
        self._fee_bps = fee_bps
        self._transfers: list[Transfer] = []
        self._funding: list[LeaseFunding] = []
        self._holds: dict[tuple[int, int], Hold] = {}
        self._parts = [(0, 0)]
        """Where each part begins, among the trades and among the funding."""

    def following(self) -> Settlement:
        """Return the one for the batch's next chunk: what was set aside so far counts there, too."""
        following = Settlement(partition_id=self._partition_id, fee_bps=self._fee_bps)
        following.net_held_fen, following.net_used_fen = self.net_held_fen, self.net_used_fen
        return following

    @property
    def account_ids(self) -> set[int]:
        """The accounts whose money `write` moves."""
        return moved_accounts(self._transfers)

    def place(self, funded: FundedOrder) -> None:
        """Set aside everything that the bid's holds say."""
        for hold in (funded.cash, *funded.vouchers):
            self._holds[hold.order_id, hold.voucher_id] = hold
            self._transfer(hold, _PENDING, _HOLD, hold.order_id, hold.placed_fen)
            self._count(funded, hold, hold.placed_fen)

    def trade(
        self,
        event: Traded,
        funded: FundedOrder,
        *,
        sequence: int,
        product_id: str,
        provider_id: int,
        ask_mask: int,
        list_price_ticks: int | None,
        open_gpus: int,
    ) -> Trade:
        """Settle one fill: commit its price, give back what the price improved, open its lease.

        `ask_mask` is the ask's eligibility mask (a voucher pays only where it holds the programme's bit),
        `list_price_ticks` its provider's list price; `open_gpus` is what of the bid can still fill after
        this.
        """
        notional_fen = event.price_ticks * event.quantity_gpus * event.hours
        funded.filled_notional_fen += notional_fen
        for index, share in enumerate(funded.terms.shares):
            if share.mask & ask_mask:
                price_ticks = eligible_ticks(share, event.price_ticks, list_price_ticks)
                funded.eligible_fen[index] += price_ticks * event.quantity_gpus * event.hours
        trade_id = new_id()
        voucher_fen = reimbursable_fen = 0
        paying = set()
        shares = funded.terms.shares
        wanted_fen = targets_of(funded, open_gpus).committed_fen if shares else ()
        parts = zip(shares, holds_by_share(funded), wanted_fen, strict=True)
        # Of a tiny fill, shares that reach their next fen together could be more than the whole: a fen that
        # does not fit is paid with the next fill. What is reimbursed stands back, because the cash that is
        # set aside counts on the others.
        for share, holds, target_fen in sorted(parts, key=lambda part: part[0].reimbursed):
            due_fen = min(
                target_fen - sum(hold.committed_fen for hold in holds),
                notional_fen - voucher_fen - reimbursable_fen,
            )
            if not due_fen:
                continue
            self._commit_in_order(holds, due_fen, trade_id, reimbursed=share.reimbursed)
            paying.add(share.programme_id)
            if share.reimbursed:
                reimbursable_fen += due_fen
            else:
                voucher_fen += due_fen
        self._commit(funded.cash, notional_fen - voucher_fen, trade_id)
        self._release(funded, open_gpus)
        trade = Trade(
            trade_id=trade_id,
            partition_id=self._partition_id,
            sequence=sequence,
            product_id=product_id,
            bid_order_id=event.bid_order_id,
            ask_order_id=event.ask_order_id,
            buyer_id=funded.buyer_id,
            provider_id=provider_id,
            aggressor=_BUY if event.taker_order_id == event.bid_order_id else _SELL,
            quantity_gpus=event.quantity_gpus,
            starts_hour=event.starts_hour,
            ends_hour=event.starts_hour + event.hours,
            price_ticks=event.price_ticks,
            notional_fen=notional_fen,
            voucher_fen=voucher_fen,
            reimbursable_fen=reimbursable_fen,
            programme_ids=tuple(share.programme_id for share in shares if share.programme_id in paying),
            fee_bps=self._fee_bps,
        )
        self.trades.append(trade)
        return trade

    def shrink(self, funded: FundedOrder, open_gpus: int) -> None:
        """Give back what the order, with only `open_gpus` left to fill, can no longer cost."""
        self._release(funded, open_gpus)

    def close(self, funded: FundedOrder) -> None:
        """Give back everything still set aside: the order fills no more."""
        self.shrink(funded, 0)

    def without(self, funded: FundedOrder) -> TakenWithout:
        """Return what would be taken if a bid were closed now; nothing is changed."""
        held, used = self.net_held_fen.copy(), self.net_used_fen.copy()
        for hold in (funded.cash, *funded.vouchers):
            held[hold.source_account_id] -= hold.open_fen
            for counted in self._counted(funded, hold):
                used[counted] -= hold.open_fen
        return TakenWithout(held, used)

    def part(self) -> int:
        """Begin another part of the trades and leases, which is stored by itself; return its number."""
        self._parts.append((len(self.trades), len(self._funding)))
        return len(self._parts) - 1

    async def write(self, connection: Writer, at_us: int) -> None:
        """Store the batch's money, and the trades of its first part: two statements, or some of a bundle."""
        await post(connection, self._transfers, at_us)
        if self._holds:
            await self._write_part(connection, 0, list(self._holds.values()), at_us)

    async def write_part(self, connection: Writer, part: int, at_us: int) -> None:
        """Store the trades of a later part, with their leases: one statement, or none where it has none."""
        await self._write_part(connection, part, [], at_us)

    async def _write_part(self, connection: Writer, part: int, holds: Sequence[Hold], at_us: int) -> None:
        ends = [*self._parts, (len(self.trades), len(self._funding))]
        (trade_from, funding_from), (trade_until, funding_until) = ends[part : part + 2]
        trades = self.trades[trade_from:trade_until]
        if holds or trades:
            funding = self._funding[funding_from:funding_until]
            await store.write_batch(connection, holds, trades, funding, at_us)

    def _commit_in_order(
        self, holds: Sequence[Hold], due_fen: int, trade_id: int, *, reimbursed: bool
    ) -> None:
        """Post what the fill takes of a share's vouchers, the first as far as it goes."""
        for hold in holds:
            amount_fen = min(due_fen, hold.placed_fen - hold.committed_fen)
            due_fen -= amount_fen
            self._commit(hold, amount_fen, trade_id, reimbursed=reimbursed)

    def _commit(self, hold: Hold, amount_fen: int, trade_id: int, *, reimbursed: bool = False) -> None:
        """Post what the fill takes of a hold."""
        if not amount_fen:
            return
        hold.committed_fen += amount_fen
        self._transfer(hold, _POST_PENDING, _TRADE, trade_id, amount_fen)
        self._funding.append(
            LeaseFunding(
                lease_id=trade_id,
                voucher_id=hold.voucher_id,
                asset=hold.asset,
                source_account_id=hold.source_account_id,
                escrow_account_id=hold.escrow_account_id,
                committed_fen=amount_fen,
                programme_version=hold.programme_version,
                reimbursed=reimbursed,
            )
        )

    def _release(self, funded: FundedOrder, open_gpus: int) -> None:
        """Void what the holds keep beyond what they must."""
        kept = kept_by_hold(funded, open_gpus)
        for hold, kept_fen in zip((funded.cash, *funded.vouchers), kept, strict=True):
            self._keep(funded, hold, kept_fen)

    def _keep(self, funded: FundedOrder, hold: Hold, kept_fen: int) -> None:
        amount_fen = hold.placed_fen - hold.released_fen - kept_fen
        if amount_fen:
            hold.released_fen += amount_fen
            self._transfer(hold, _VOID_PENDING, _HOLD_RELEASE, hold.order_id, amount_fen)
            self._count(funded, hold, -amount_fen)

    def _count(self, funded: FundedOrder, hold: Hold, change_fen: int) -> None:
        """Count what a voucher sets aside or gives back against its programme's yearly cap."""
        for counted in self._counted(funded, hold):
            self.net_used_fen[counted] += change_fen

    @staticmethod
    def _counted(funded: FundedOrder, hold: Hold) -> list[tuple[int, int, int]]:
        """Return the yearly caps against which a hold counts."""
        if hold.cap_year is None:
            return []
        return [(hold.programme_id, subject_id, hold.cap_year) for subject_id in funded.cap_subjects]

    def _transfer(
        self, hold: Hold, kind: TransferKind, reason: TransferReason, subject_id: int, amount_fen: int
    ) -> None:
        if amount_fen < 0:
            raise AssertionError(f"hold of order {hold.order_id}: {reason} of {amount_fen} fen")
        if not amount_fen:
            return
        if kind is _PENDING:
            self.net_held_fen[hold.source_account_id] += amount_fen
        elif kind is _VOID_PENDING:
            self.net_held_fen[hold.source_account_id] -= amount_fen
        self._holds[hold.order_id, hold.voucher_id] = hold
        self._transfers.append(
            Transfer(
                group_id=subject_id,
                kind=kind,
                reason=reason,
                asset=hold.asset,
                debit_account_id=hold.source_account_id,
                credit_account_id=hold.escrow_account_id,
                amount_fen=amount_fen,
                subject_id=subject_id,
            )
        )


async def live_holds(connection: Connection, partition_id: int) -> list[Hold]:
    """The holds of a partition's live bids, in spending order: what a leader keeps in memory."""
    return await store.live_holds(connection, partition_id)


async def holds_of_bids(connection: Connection, order_ids: Collection[int]) -> dict[int, list[Hold]]:
    """The holds of some bids in spending order, by order."""
    holds: dict[int, list[Hold]] = {}
    for hold in await store.holds_of_bids(connection, order_ids):
        holds.setdefault(hold.order_id, []).append(hold)
    return holds


async def open_holds_of_orders(
    connection: Connection, order_ids: Collection[int]
) -> dict[int, list[tuple[int, int]]]:
    """What orders still set aside: (voucher id, 0 for cash; fen) in spending order, by order."""
    holds: dict[int, list[tuple[int, int]]] = {}
    for row in await store.holds_of_orders(connection, order_ids):
        open_fen = row["placed_fen"] - row["committed_fen"] - row["released_fen"]
        holds.setdefault(row["order_id"], []).append((row["voucher_id"], open_fen))
    return holds


async def fills_of_orders(connection: Connection, order_ids: Collection[int]) -> list[Trade]:
    """The trades of orders of either side, oldest first."""
    return await store.fills_of_orders(connection, order_ids)
