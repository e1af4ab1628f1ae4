"""Recorded steps without a database: a tape that writes orders, trades and vouchers as the record tells them.

The forms are those of the real record; `tests/integration/test_alert_watch.py` holds the two together. Ids
are made here; `merged` puts several tapes into one record, in the order of time.
"""

from collections.abc import Iterable
from itertools import count
from typing import Any, Final

import msgspec

from exchange.alerts.detection import Detection
from exchange.alerts.models import Finding
from exchange.alerts.recorded import ProgrammeFacts, RecordedStep, Spent, TradeFacts
from exchange.alerts.thresholds import AlertRules, AlertRulesVersion, default_rules
from exchange.kit.clock import US_PER_DAY, US_PER_HOUR, US_PER_SECOND

SECOND: Final = US_PER_SECOND
HOUR: Final = US_PER_HOUR
DAY: Final = US_PER_DAY
START_US: Final = 1_772_000_000_000_000
START_HOUR: Final = START_US // HOUR + 1
_ids: Final = count(10**15)


def new() -> int:
    """Return an id that nothing else has."""
    return next(_ids)


class Party(msgspec.Struct, frozen=True):
    """A participant, and its trade group where it has one."""

    id: int
    group_id: int | None = None


def party(group_id: int | None = None) -> Party:
    """Return a new participant."""
    return Party(new(), group_id)


class Placed(msgspec.Struct, frozen=True):
    """An order that was placed."""

    id: int
    owner: Party
    side: str
    product: str
    quantity: int
    starts: int
    ends: int
    price: int
    at_us: int


class Tape:
    """Steps, in whatever order they are written."""

    def __init__(self) -> None:
        self.steps: list[RecordedStep] = []
        self.orders = 0

    def write(
        self,
        code: str,
        at_us: int,
        owner: Party,
        *,
        order: Placed | None = None,
        trade: TradeFacts | None = None,
        detail: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Write one step."""
        self.steps.append(
            RecordedStep(
                record_id=new(),
                code=code,
                event_at_us=at_us,
                participant_id=owner.id,
                group_id=owner.group_id,
                order_id=0 if order is None else order.id,
                trade_id=0 if trade is None else trade.trade_id,
                trade=trade,
                detail=detail or {},
                **{"product_id": None if order is None else order.product, **more},
            )
        )

    def place(
        self,
        at_us: int,
        owner: Party,
        side: str,
        product: str,
        quantity: int,
        window: tuple[int, int],
        price: int,
    ) -> Placed:
        """Write an order for the hours from `START_HOUR` that a window says, at fen a GPU-hour."""
        starts, ends = (START_HOUR + each for each in window)
        order = Placed(new(), owner, side, product, quantity, starts, ends, price, at_us)
        detail = {
            "side": side,
            "quantity_gpus": quantity,
            "starts_hour": starts,
            "ends_hour": ends,
            "hours": ends - starts,
            "price_ticks": price,
        }
        self.orders += 1
        self.write("NEWO", at_us, owner, order=order, detail=detail)
        return order

    def cancel(self, at_us: int, order: Placed, reason: str = "requested") -> None:
        """Withdraw an order."""
        self.write("CAME", at_us, order.owner, order=order, detail={"reason": reason})

    def fill(
        self,
        at_us: int,
        bid: Placed,
        ask: Placed,
        *,
        aid_bps: int = 0,
        spent: tuple[Spent, ...] = (),
        ask_is_done: bool = True,
        price: int = 0,
    ) -> TradeFacts:
        """Let a bid be filled whole by an ask."""
        hours = bid.ends - bid.starts
        price = price or ask.price
        notional_fen = bid.quantity * hours * price
        trade = TradeFacts(
            trade_id=new(),
            buyer_id=bid.owner.id,
            provider_id=ask.owner.id,
            buyer_group_id=bid.owner.group_id,
            provider_group_id=ask.owner.group_id,
            bid_order_id=bid.id,
            ask_order_id=ask.id,
            quantity_gpus=bid.quantity,
            starts_hour=bid.starts,
            ends_hour=bid.ends,
            price_ticks=price,
            notional_fen=notional_fen,
            aid_fen=notional_fen * aid_bps // 10_000,
            spent=spent,
        )
        detail = {
            "quantity_gpus": bid.quantity,
            "hours": hours,
            "price_ticks": price,
            "starts_hour": bid.starts,
        }
        self.write("FILL", at_us, bid.owner, order=bid, trade=trade, detail=detail)
        code = "FILL" if ask_is_done else "PARF"
        self.write(code, at_us, ask.owner, order=ask, trade=trade, detail=detail)
        return trade

    def deal(
        self,
        at_us: int,
        buyer: Party,
        provider: Party,
        product: str,
        quantity: int,
        window: tuple[int, int],
        price: int,
        *,
        aid_bps: int = 0,
        delay_us: int = HOUR,
        spent: tuple[Spent, ...] = (),
        ask_window: tuple[int, int] | None = None,
    ) -> TradeFacts:
        """Let a provider's ask, placed `delay_us` before, meet a bid; `ask_window` may be wider."""
        wide = ask_window or window
        ask = self.place(at_us - delay_us, provider, "sell", product, quantity, wide, price)
        bid = self.place(at_us, buyer, "buy", product, quantity, window, price)
        return self.fill(at_us, bid, ask, aid_bps=aid_bps, spent=spent, ask_is_done=wide == window)

    def meet_own(self, at_us: int, bid: Placed, ask: Placed) -> None:
        """Let two orders of one party meet."""
        self.write("STPV", at_us, bid.owner, order=bid, detail={"ask_order_id": ask.id})

    def cash(self, at_us: int, owner: Party, reason: str, amount_fen: int) -> None:
        """Move money in or out."""
        self.write("CASH", at_us, owner, detail={"reason": reason, "amount_fen": amount_fen})

    def issue(
        self, at_us: int, buyer: Party, programme: ProgrammeFacts, face_fen: int, age_days: int = 2_000
    ) -> None:
        """Issue a voucher to a company of an age."""
        detail = {"face_fen": face_fen, "programme_id": programme.programme_id}
        founded_us = at_us - age_days * DAY
        self.write(
            "VISS", at_us, buyer, detail=detail, programme=programme, founded_us=founded_us, kind="buyer"
        )

    def apply(self, at_us: int, buyer: Party, programme: ProgrammeFacts, amount_fen: int) -> None:
        """Apply to a programme."""
        detail = {"amount_fen": amount_fen, "programme_id": programme.programme_id}
        self.write("APPS", at_us, buyer, detail=detail, programme=programme)

    def outage(self, at_us: int, provider: Party, product: str, trade: TradeFacts, hours: list[int]) -> None:
        """Report hours of a lease as not delivered."""
        detail = {"hours": hours, "reason": "power"}
        self.write("OUTG", at_us, provider, trade=trade, detail=detail, product_id=product)

    def deliver(self, at_us: int, provider: Party, product: str, trade: TradeFacts, hour: int) -> None:
        """Settle an hour of a lease as delivered."""
        detail = {"delivery_hour": hour, "amount_fen": trade.quantity_gpus * trade.price_ticks, "fee_fen": 0}
        self.write("DLVR", at_us, provider, trade=trade, detail=detail, product_id=product)


def merged(*tapes: Iterable[RecordedStep]) -> list[RecordedStep]:
    """Return one record of several, numbered from 1 in the order of time; steps of one moment keep theirs."""
    steps = sorted((each for tape in tapes for each in tape), key=lambda each: each.event_at_us)
    return [msgspec.structs.replace(each, record_id=number) for number, each in enumerate(steps, start=1)]


def rules_of(rules: AlertRules | None = None) -> tuple[AlertRulesVersion, ...]:
    """Return one version of rules, in force for ever: the shipped ones unless others are given."""
    return (AlertRulesVersion(version=1, effective_from_us=0, rules=rules or default_rules()),)


def with_thresholds(detector: str, **thresholds: Any) -> AlertRules:
    """Return the shipped rules with other thresholds of one detector."""
    rules = default_rules()
    changed = msgspec.structs.replace(getattr(rules, detector), **thresholds)
    return msgspec.structs.replace(rules, **{detector: changed})


def detect(steps: Iterable[RecordedStep], rules: AlertRules | None = None) -> list[Finding]:
    """Return what the detectors find in a record."""
    return Detection().take(steps, rules_of(rules))


def found_by(detector: str, tape: Tape, rules: AlertRules | None = None) -> list[Finding]:
    """Return what one detector finds in a tape."""
    return [each for each in detect(merged(tape.steps), rules) if each.detector == detector]
