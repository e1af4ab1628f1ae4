"""Orders, trades and leases rebuilt from their steps, each fill beside the journal's word for it. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from exchange.orders.models import OrderTerms
from exchange.rebuild.market import Due, Match
from exchange.rebuild.models import HoldRow, Key, LeaseRow, LoadRow, Mismatch, OrderRow, Recorded, TradeRow
from exchange.rebuild.money import Money
from exchange.settlement.rules import eligible_ticks

OF_ORDERS: Final = ("NEWO", "REME", "REMO", "CAME", "EXPI", "PARF", "FILL", "STPV")
"""The steps that come of events of the journal, one for one."""
OF_LEASES: Final = ("DLVR", "REFD")
_OF_TRADE: Final = (
    *("partition_id", "product_id", "ask_order_id", "buyer_id", "provider_id", "quantity_gpus"),
    *("starts_hour", "ends_hour", "price_ticks", "fee_bps"),
)
"""What a lease has of its trade."""
ENDS: Final[Mapping[str, str]] = {"CAME": "cancelled", "EXPI": "expired"}


class Trading:
    """Follows the steps of orders and leases, in the order in which they were written."""

    def __init__(self, matches: Mapping[tuple[int, int, int], Match], due: Collection[Due]) -> None:
        """Begin with no orders, beside all the journal's fills, and the steps that must come of it."""
        self.orders: dict[int, OrderRow] = {}
        self.trades: dict[int, TradeRow] = {}
        self.leases: dict[int, LeaseRow] = {}
        self.placed_fen: dict[tuple[int, int], int] = {}
        """What each order set aside by its own record, by order and voucher (0: cash)."""
        self.groups: dict[int, int | None] = {}
        """The trade group of each order's owner, as its record has it."""
        self.contradictions: list[Mismatch] = []
        self._terms: dict[int, OrderTerms] = {}
        self._matches = matches
        self._due = set(due)

    def follow(self, step: Recorded) -> None:
        """Take a step in; those of other things are passed over.

        Raises ValueError or KeyError for one that cannot have been, after what was done before it.
        """
        if step.code in OF_ORDERS and step.sequence is not None:
            self._account_for(step)
        if step.code == "NEWO":
            self._come(step)
        elif step.code == "REMO":
            self._refuse(step)
        elif step.code == "REME":
            self._amend(step)
        elif step.code in ("PARF", "FILL"):
            self._fill(step)
        elif step.code in ENDS:
            self._end(self.orders[step.order_id], ENDS[step.code], step)
        elif step.code in OF_LEASES:
            lease, hour = self.leases[step.trade_id], step.detail["delivery_hour"]
            due_hour, lease.next_settlement_hour = lease.next_settlement_hour, hour + 1
            lease.failed_hours += step.code == "REFD"
            lease.fee_fen += step.detail["fee_fen"]
            if hour != due_hour:
                raise ValueError(f"hour {hour} of lease {step.trade_id} is settled, {due_hour} was due")

    def _account_for(self, step: Recorded) -> None:
        """Note that a step which the journal speaks of is on record."""
        due = Due(step.partition_id or 0, step.sequence or 0, step.event_index, step.order_id, step.code)
        if due not in self._due:
            raise ValueError("no event of the journal has this step, or it has one already")
        self._due.discard(due)

    def _come(self, step: Recorded) -> OrderRow:
        """Take an order in: it rests, until another step says otherwise."""
        told = step.detail
        replaces_id = told.get("replaces_order_id")
        terms = msgspec.convert(told["terms"], OrderTerms)
        order = OrderRow(
            partition_id=step.partition_id or 0,
            sequence=step.sequence,
            participant_id=step.participant_id,
            key_id=step.key_id,
            amendment=0 if replaces_id is None else self.orders[replaces_id].amendment + 1,
            replaces_id=replaces_id,
            product_id=step.product_id,
            status="resting",
            eligible_fen=[0] * len(terms.shares),
            created_at=step.at_us,
            updated_at=step.at_us,
            **{
                name: told[name]
                for name in (
                    *("client_order_id", "side", "quantity_gpus", "starts_hour", "ends_hour", "hours"),
                    *("price_ticks", "terms"),
                )
            },
        )
        if self.orders.setdefault(step.order_id, order) is not order:
            raise ValueError("there is such an order already")
        self._terms[step.order_id] = terms
        self.groups[step.order_id] = step.trade_group_id
        if "held_cash_fen" in told:
            held = {"0": told["held_cash_fen"], **told["held_vouchers_fen"]}
            self.placed_fen |= {(step.order_id, int(voucher)): fen for voucher, fen in held.items()}
        return order

    def _refuse(self, step: Recorded) -> None:
        """End an order that was denied or rejected; a refused amendment leaves it as it was."""
        if "amendment" in step.detail:
            return
        order = self.orders.get(step.order_id)
        if order is None:  # before the book: this one step tells all of it
            order = self._come(step)
            order.denial = step.detail["denial"]
        elif step.sequence is None:
            raise ValueError("there is such an order already")
        for part in [each for each in self.placed_fen if each[0] == step.order_id]:
            del self.placed_fen[part]  # it was never set aside
        order.collar = step.detail.get("collar")
        self._end(order, "rejected", step)

    def _amend(self, step: Recorded) -> None:
        order = self.orders[step.order_id]
        if "replaced_by_order_id" in step.detail:
            order.replaced_by_id = step.detail["replaced_by_order_id"]
            self._end(order, "cancelled", step)
        else:
            order.quantity_gpus = step.detail["quantity_gpus"]
            if "shares" in step.detail:
                order.terms = {**order.terms, "shares": step.detail["shares"]}
                self._terms[step.order_id] = msgspec.convert(order.terms, OrderTerms)
            order.updated_at = step.at_us

    def _end(self, order: OrderRow, status: str, step: Recorded) -> None:
        reason = step.detail.get("cause") or step.detail["reason"]
        order.status, order.reason, order.updated_at = status, reason, step.at_us

    def _fill(self, step: Recorded) -> None:
        """Fill an order by what the journal says of the trade; the buyer's record tells the trade itself."""
        place = (step.partition_id or 0, step.sequence or 0, step.event_index)
        match = self._matches[place]
        event, told = match.event, step.detail
        if step.at_us != match.at_us:
            self._contradict(step, "event_at", step.at_us, match.at_us)
        for name in ("quantity_gpus", "price_ticks", "starts_hour", "hours"):
            if told[name] != getattr(event, name):
                self._contradict(step, name, told[name], getattr(event, name))
        gpu_hours = event.quantity_gpus * event.hours
        order = self.orders[step.order_id]
        order.filled_gpu_hours += gpu_hours
        order.filled_notional_fen += gpu_hours * event.price_ticks
        order.status = "filled" if step.code == "FILL" else "partially_filled"
        order.updated_at = step.at_us
        if step.order_id != event.bid_order_id:
            return
        order.filled_gpus += event.quantity_gpus
        order.run_starts_hour = event.starts_hour
        list_price_ticks = self._terms[event.ask_order_id].list_price_ticks
        for index, share in enumerate(self._terms[step.order_id].shares):
            if share.mask & match.ask_mask:
                eligible = eligible_ticks(share, event.price_ticks, list_price_ticks)
                order.eligible_fen[index] += eligible * gpu_hours
        trade = self.trades[step.trade_id] = TradeRow(
            partition_id=place[0],
            sequence=place[1],
            product_id=match.product_id,
            bid_order_id=event.bid_order_id,
            ask_order_id=event.ask_order_id,
            buyer_id=event.buyer,
            provider_id=event.seller,
            aggressor="buy" if event.taker_order_id == event.bid_order_id else "sell",
            quantity_gpus=event.quantity_gpus,
            starts_hour=event.starts_hour,
            ends_hour=event.starts_hour + event.hours,
            price_ticks=event.price_ticks,
            notional_fen=gpu_hours * event.price_ticks,
            voucher_fen=told["voucher_fen"],
            reimbursable_fen=told["reimbursable_fen"],
            fee_bps=told["fee_bps"],
            traded_at=match.at_us,
        )
        self.leases[step.trade_id] = LeaseRow(
            **{name: getattr(trade, name) for name in _OF_TRADE},
            created_at=trade.traded_at,
            next_settlement_hour=trade.starts_hour,
        )

    def end(self, money: Money) -> None:
        """Note the journal's steps that are not on record, and fees that moved otherwise than is recorded."""
        for lease_id in sorted({*self.leases, *money.fees_fen}):
            lease = self.leases.get(lease_id)
            told_fen, moved_fen = 0 if lease is None else lease.fee_fen, money.fees_fen[lease_id]
            if told_fen != moved_fen:
                of = f"lease {lease_id}"
                self.contradictions.append(
                    Mismatch(table="ledger_transfer", of=of, column="fee", stored=moved_fen, rebuilt=told_fen)
                )
        for due in sorted(self._due):
            of = f"{due.partition_id}/{due.sequence}/{due.event_index}, order {due.order_id}"
            self.contradictions.append(
                Mismatch(table="audit_record", of=of, column="", stored=None, rebuilt=due.code)
            )

    def name_programmes(self, paid: Mapping[int, Collection[int]]) -> None:
        """Note which programmes pay a part of each trade, by what its money came from."""
        for trade_id, trade in self.trades.items():
            shares = self._terms[trade.bid_order_id].shares
            paying = paid.get(trade_id, ())
            trade.programme_ids = [share.programme_id for share in shares if share.programme_id in paying]

    def loads(self) -> dict[Key, msgspec.Struct]:
        """Return what every ask has sold, by rectangle of hours."""
        rows: dict[Key, LoadRow] = defaultdict(LoadRow)
        for trade in self.trades.values():
            rows[trade.ask_order_id, trade.starts_hour, trade.ends_hour].sold_gpus += trade.quantity_gpus
        return dict(rows)

    def holds(self, money: Money) -> dict[Key, msgspec.Struct]:
        """Return what every order set aside by its own record, and by the transfers what became of it."""
        rows: dict[Key, msgspec.Struct] = {}
        committed_fen: dict[tuple[int, int], int] = {}
        for (trade_id, voucher_id), part in money.funding.items():
            trade = self.trades.get(trade_id)
            if trade is not None:
                place = trade.bid_order_id, voucher_id
                committed_fen[place] = committed_fen.get(place, 0) + part.committed_fen
        for place in sorted({*self.placed_fen, *money.placed_fen}):
            told_fen, moved_fen = self.placed_fen.get(place, 0), money.placed_fen[place]
            if told_fen != moved_fen:
                of = f"order {place[0]}, voucher {place[1]}"
                self.contradictions.append(
                    Mismatch(
                        table="ledger_transfer", of=of, column="hold", stored=moved_fen, rebuilt=told_fen
                    )
                )
            rows[place] = HoldRow(told_fen, committed_fen.get(place, 0), money.released_fen[place])
        return rows

    def shares_counted(self, order_id: int) -> set[int]:
        """Return the programmes whose yearly cap counts what an order uses of them."""
        return {share.programme_id for share in self._terms[order_id].shares if share.capped_by_use}

    def _contradict(self, step: Recorded, column: str, stored: object, rebuilt: object) -> None:
        self.contradictions.append(
            Mismatch(table="audit_record", of=str(step.id), column=column, stored=stored, rebuilt=rebuilt)
        )
