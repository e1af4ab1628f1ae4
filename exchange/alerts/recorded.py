"""The record as detectors read it: steps with the facts about parties, trades, vouchers and programmes. Pure.

A party is a trade group, or a participant that is of none: ids of both come from one source, so one number
names either. A participant's group is what its record says, else what is registered when the record is read.
"""

from typing import Any, Final, Protocol

import msgspec

from exchange.kit.clock import US_PER_DAY, us_of

_DETAIL: Final = msgspec.json.Decoder(dict[str, Any])
FILLS: Final = ("PARF", "FILL")
CODES: Final = (
    *("NEWO", "REME", "REMO", "CAME", "EXPI", *FILLS, "STPV"),
    *("OUTG", "DLVR", "CASH", "VISS", "VEXP", "VREV", "APPS"),
)
"""The steps that some detector reads."""


class Row(Protocol):
    """A row of a table, read by column."""

    def __getitem__(self, column: str, /) -> Any:
        """Return a column's value."""


class Spent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one voucher pays of a trade, and the voucher; `expires_at_us` is venue time."""

    voucher_id: int
    programme_id: int
    amount_fen: int
    face_fen: int
    expires_at_us: int


_SPENT: Final = msgspec.json.Decoder(tuple[Spent, ...])


class TradeFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade with its parties; `aid_fen` is what vouchers pay of it or give back of it."""

    trade_id: int
    buyer_id: int
    provider_id: int
    buyer_group_id: int | None
    provider_group_id: int | None
    bid_order_id: int
    ask_order_id: int
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    notional_fen: int
    aid_fen: int
    spent: tuple[Spent, ...] = ()

    @property
    def buyer(self) -> int:
        """The party that buys."""
        return self.buyer_group_id or self.buyer_id

    @property
    def provider(self) -> int:
        """The party that sells."""
        return self.provider_group_id or self.provider_id

    @property
    def hours(self) -> int:
        """How many hours it has."""
        return self.ends_hour - self.starts_hour

    @property
    def gpu_hours(self) -> int:
        """GPUs times hours."""
        return self.quantity_gpus * self.hours

    @property
    def groups(self) -> tuple[int, ...]:
        """The trade groups of its parties."""
        found = (self.buyer_group_id, self.provider_group_id)
        return tuple(sorted({each for each in found if each is not None}))


class ProgrammeFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A programme as it is when the record is read: its budget, and from where applications are looked at."""

    programme_id: int
    budget_fen: int
    review_from_fen: int | None


class RecordedStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One audit record, with facts that stand in other tables; `founded_us` is the day a company began."""

    record_id: int
    code: str
    event_at_us: int
    participant_id: int = 0
    group_id: int | None = None
    product_id: str | None = None
    order_id: int = 0
    trade_id: int = 0
    subject_id: int = 0
    detail: dict[str, Any] = {}
    kind: str | None = None
    founded_us: int | None = None
    trade: TradeFacts | None = None
    programme: ProgrammeFacts | None = None

    @property
    def party(self) -> int:
        """The party whose step it is."""
        return self.group_id or self.participant_id

    @property
    def groups(self) -> tuple[int, ...]:
        """The trade group of its party, where it has one."""
        return () if self.group_id is None else (self.group_id,)

    @property
    def purchase(self) -> TradeFacts | None:
        """The trade, on its buyer's record of it; so each trade is looked at once."""
        trade = self.trade
        if trade is None or trade.buyer_id != self.participant_id or self.code not in FILLS:
            return None
        return trade


def step_of(row: Row) -> RecordedStep:
    """Return a row of the query `records` as a step."""
    founded_on = row["founded_on"]
    return RecordedStep(
        record_id=row["id"],
        code=row["code"],
        event_at_us=us_of(row["event_at"]),
        participant_id=row["participant_id"] or 0,
        group_id=row["trade_group_id"],
        product_id=row["product_id"],
        order_id=row["order_id"] or 0,
        trade_id=row["trade_id"] or 0,
        subject_id=row["subject_id"] or 0,
        detail=_DETAIL.decode(row["detail"]),
        kind=row["kind"],
        founded_us=None if founded_on is None else (founded_on.toordinal() - _EPOCH_DAY) * US_PER_DAY,
        trade=None if row["buyer_id"] is None else _trade_of(row),
        programme=None if row["programme_id"] is None else _programme_of(row),
    )


_EPOCH_DAY: Final = 719_163
"""The ordinal of 1970-01-01."""


def _trade_of(row: Row) -> TradeFacts:
    return TradeFacts(
        trade_id=row["trade_id"],
        buyer_id=row["buyer_id"],
        provider_id=row["provider_id"],
        buyer_group_id=row["buyer_group_id"],
        provider_group_id=row["provider_group_id"],
        bid_order_id=row["bid_order_id"],
        ask_order_id=row["ask_order_id"],
        quantity_gpus=row["quantity_gpus"],
        starts_hour=row["starts_hour"],
        ends_hour=row["ends_hour"],
        price_ticks=row["price_ticks"],
        notional_fen=row["notional_fen"],
        aid_fen=row["voucher_fen"] + row["reimbursable_fen"],
        spent=() if row["vouchers"] is None else _SPENT.decode(row["vouchers"]),
    )


def _programme_of(row: Row) -> ProgrammeFacts:
    return ProgrammeFacts(
        programme_id=row["programme_id"],
        budget_fen=row["budget_fen"],
        review_from_fen=row["committee_above_fen"] or row["auto_below_fen"],
    )
