"""Hop 5 of an order: what the events of a batch do to money, as one set of rows written in one go.

`Settlement` gathers, in memory and in sequence order, the transfers, holds, trades and leases of one batch of
the sequencer. `write` stores them in the batch's transaction. Nothing is read: all that is needed to settle a
fill stands in the bid's `FundedOrder`.

The order of things for one bid, and the only place that says it:
1. `place`: its most possible cost is set aside (pending), cash and vouchers apart;
2. `trade`: the fill's price is committed to escrow (posted), vouchers first by their share, cash for the
   rest; what the better price freed goes back; a lease opens;
3. `close`: when the order can fill no more, what is still set aside goes back.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from exchange.kit.ids import new_id
from exchange.ledger.models import Transfer, TransferKind, TransferReason
from exchange.ledger.service import post
from exchange.settlement import store
from exchange.settlement.models import Aggressor, FundedOrder, Hold, LeaseFunding, Trade
from exchange.settlement.rules import Targets, spread_in_order, targets
from exchange.vouchers.rules import capped

if TYPE_CHECKING:
    from collections.abc import Collection

    from exchange.kit.bundle import Writer
    from exchange.kit.database import Connection
    from matching.events import Traded


class Settlement:
    """The money side of one batch. Made anew for each batch; `write` ends it."""

    def __init__(self, *, partition_id: int, fee_bps: int) -> None:
        self.trades: list[Trade] = []
        self.net_held_fen: Counter[int] = Counter()
        """By source account: set aside less given back in this batch; its later orders cannot use that."""
        self._partition_id = partition_id
        self._fee_bps = fee_bps
        self._transfers: list[Transfer] = []
        self._funding: list[LeaseFunding] = []
        self._holds: dict[tuple[int, int], Hold] = {}

    def place(self, funded: FundedOrder) -> None:
        """Set aside everything that the bid's holds say."""
        for hold in (funded.cash, *funded.vouchers):
            self._holds[hold.order_id, hold.voucher_id] = hold
            self._transfer(hold, TransferKind.PENDING, TransferReason.HOLD, hold.order_id, hold.placed_fen)

    def trade(
        self,
        event: Traded,
        funded: FundedOrder,
        *,
        sequence: int,
        product_id: str,
        provider_id: int,
        ask_mask: int,
        open_gpus: int,
    ) -> Trade:
        """Settle one fill: commit its price, give back what the price improved, open its lease.

        `ask_mask` is the ask's eligibility mask (a voucher pays only where it holds the programme's bit);
        `open_gpus` is what of the bid can still fill after this.
        """
        notional_fen = event.price_ticks * event.quantity_gpus * event.hours
        terms = funded.terms
        funded.filled_notional_fen += notional_fen
        if terms.programme_mask & ask_mask:
            price_ticks = capped(event.price_ticks, terms.price_cap_ticks)
            funded.eligible_notional_fen += price_ticks * event.quantity_gpus * event.hours
        trade_id = new_id()
        wanted = self._targets(funded, open_gpus)
        voucher_fen = 0
        parts = self._commit(funded.cash, wanted.cash_committed_fen, trade_id)
        committed = spread_in_order(
            wanted.voucher_committed_fen, [hold.placed_fen for hold in funded.vouchers]
        )
        for hold, target_fen in zip(funded.vouchers, committed, strict=True):
            voucher_fen += self._commit(hold, target_fen, trade_id)
        if parts + voucher_fen != notional_fen:
            raise AssertionError(f"trade {trade_id}: parts sum to {parts + voucher_fen}, not {notional_fen}")
        self._release(funded, wanted)
        trade = Trade(
            trade_id=trade_id,
            partition_id=self._partition_id,
            sequence=sequence,
            product_id=product_id,
            bid_order_id=event.bid_order_id,
            ask_order_id=event.ask_order_id,
            buyer_id=funded.buyer_id,
            provider_id=provider_id,
            aggressor=Aggressor.BUY if event.taker_order_id == event.bid_order_id else Aggressor.SELL,
            quantity_gpus=event.quantity_gpus,
            starts_hour=event.starts_hour,
            ends_hour=event.starts_hour + event.hours,
            price_ticks=event.price_ticks,
            notional_fen=notional_fen,
            voucher_fen=voucher_fen,
            programme_id=terms.programme_id if voucher_fen else None,
            programme_version=terms.programme_version if voucher_fen else None,
            fee_bps=self._fee_bps,
        )
        self.trades.append(trade)
        return trade

    def shrink(self, funded: FundedOrder, open_gpus: int) -> None:
        """Give back what the order, with only `open_gpus` left to fill, can no longer cost."""
        self._release(funded, self._targets(funded, open_gpus))

    def close(self, funded: FundedOrder) -> None:
        """Give back everything still set aside: the order fills no more."""
        self.shrink(funded, 0)

    async def write(self, connection: Writer, at_us: int) -> None:
        """Store the batch's money: two statements, or a part of the caller's bundle."""
        await post(connection, self._transfers, at_us)
        if self._holds:
            await store.write_batch(connection, list(self._holds.values()), self.trades, self._funding, at_us)

    def _targets(self, funded: FundedOrder, open_gpus: int) -> Targets:
        return targets(
            funded.terms,
            voucher_placed_fen=sum(hold.placed_fen for hold in funded.vouchers),
            filled_notional_fen=funded.filled_notional_fen,
            eligible_notional_fen=funded.eligible_notional_fen,
            open_gpus=open_gpus,
        )

    def _commit(self, hold: Hold, target_fen: int, trade_id: int) -> int:
        """Post what the fill takes of a hold; returns it in fen."""
        amount_fen = target_fen - hold.committed_fen
        if amount_fen:
            hold.committed_fen = target_fen
            self._transfer(hold, TransferKind.POST_PENDING, TransferReason.TRADE, trade_id, amount_fen)
            self._funding.append(
                LeaseFunding(
                    lease_id=trade_id,
                    voucher_id=hold.voucher_id,
                    asset=hold.asset,
                    source_account_id=hold.source_account_id,
                    escrow_account_id=hold.escrow_account_id,
                    committed_fen=amount_fen,
                )
            )
        return amount_fen

    def _release(self, funded: FundedOrder, wanted: Targets) -> None:
        """Void what the holds keep beyond their targets."""
        self._keep(funded.cash, wanted.cash_kept_fen)
        kept = spread_in_order(wanted.voucher_kept_fen, [hold.placed_fen for hold in funded.vouchers])
        for hold, kept_fen in zip(funded.vouchers, kept, strict=True):
            self._keep(hold, kept_fen)

    def _keep(self, hold: Hold, kept_fen: int) -> None:
        amount_fen = hold.placed_fen - hold.released_fen - kept_fen
        if amount_fen:
            hold.released_fen += amount_fen
            self._transfer(
                hold, TransferKind.VOID_PENDING, TransferReason.HOLD_RELEASE, hold.order_id, amount_fen
            )

    def _transfer(
        self, hold: Hold, kind: TransferKind, reason: TransferReason, subject_id: int, amount_fen: int
    ) -> None:
        if amount_fen < 0:
            raise AssertionError(f"hold of order {hold.order_id}: {reason} of {amount_fen} fen")
        if not amount_fen:
            return
        if kind is TransferKind.PENDING:
            self.net_held_fen[hold.source_account_id] += amount_fen
        elif kind is TransferKind.VOID_PENDING:
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
