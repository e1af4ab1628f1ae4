"""Answers that no domain's own view describes for a client, with only the fields a client reads.

Unknown fields of an answer are ignored, so a newer exchange still makes sense to an older client.
"""

import msgspec


class VenueTime(msgspec.Struct, frozen=True):
    """The exchange's own time; `seconds_per_hour` is null where it is wall time."""

    now: str
    seconds_per_hour: float | None = None


class Ready(msgspec.Struct, frozen=True):
    """Whether the exchange takes orders."""

    status: str = ""


class Account(msgspec.Struct, frozen=True):
    """One account's balances, in decimal CNY."""

    asset: str
    purpose: str
    available_cny: str = "0.00"


class CashReceipt(msgspec.Struct, frozen=True):
    """A deposit as booked."""

    available_cny: str = ""
