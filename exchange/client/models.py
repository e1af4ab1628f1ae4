"""Answers that no domain's own view describes for a client, with only the fields a client reads.

Unknown fields of an answer are ignored, so a newer exchange still makes sense to an older client.
"""

import msgspec


class VenueTime(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's own time: where it stands, and the first hour that can still be bought."""

    now_at: str
    first_hour_for_sale_at: str
    seconds_per_hour: float | None = None


class Ready(msgspec.Struct, frozen=True):
    """Whether the exchange takes orders."""

    status: str = ""
