"""What time it is at the venue. Needs `clock` and `settings` in the application's state."""

import msgspec
from litestar import get

from exchange.kit.clock import Clock, ManualClock, format_rfc3339
from exchange.kit.fields import format_hour
from exchange.kit.http_auth import public
from exchange.kit.http_request import ApiRequest
from exchange.kit.settings import Settings


class VenueTime(msgspec.Struct, frozen=True, kw_only=True):
    """Where venue time stands. `seconds_per_hour` is 3600 unless scaled, null where driven by hand."""

    now_at: str
    first_hour_for_sale_at: str
    seconds_per_hour: float | None


@get("/v1/time", opt=public(), tags=["Market data"], summary="Venue time")
async def venue_time(request: ApiRequest) -> VenueTime:
    """Return the time by which hours are sold, delivered and settled here."""
    clock: Clock = request.app.state.clock
    settings: Settings = request.app.state.settings
    driven = isinstance(clock, ManualClock)
    return VenueTime(
        now_at=format_rfc3339(clock.now_us()),
        first_hour_for_sale_at=format_hour(clock.hour() + 1),
        seconds_per_hour=None if driven else settings.seconds_per_hour or 3600.0,
    )
