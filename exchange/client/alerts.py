"""The calls about alerts, for keys with the scope `audit`: a part of `ExchangeClient`."""

from collections.abc import AsyncIterator

from exchange.alerts.models import AlertDetail, AlertRulesView, AlertView, NewClosure, NewNote, NewReview
from exchange.client.calls import Calls, segment
from exchange.client.transport import QueryValue

_PATH = "/v1/oversight/alerts"


class AlertCalls(Calls):
    """What a regulator asks and does about alerts."""

    def alerts(self, *, limit: int | None = None, **filters: QueryValue) -> AsyncIterator[AlertView]:
        """Yield alerts, newest first; of a `participant` with a `reason` only."""
        return self._list(_PATH, AlertView, limit, filters)

    async def alert(self, alert_id: str) -> AlertDetail:
        """Return an alert with what it rests on and its case."""
        return await self._transport.call("GET", _of(alert_id), AlertDetail)

    async def review_alert(self, alert_id: str, review: NewReview) -> AlertDetail:
        """Take an open alert under review."""
        return await self._once("POST", f"{_of(alert_id)}/review", AlertDetail, review)

    async def note_alert(self, alert_id: str, note: NewNote) -> AlertDetail:
        """Add a note to an alert."""
        return await self._once("POST", f"{_of(alert_id)}/notes", AlertDetail, note)

    async def close_alert(self, alert_id: str, closure: NewClosure) -> AlertDetail:
        """Close an alert that is under review."""
        return await self._once("POST", f"{_of(alert_id)}/close", AlertDetail, closure)

    def alert_rules(self, *, limit: int | None = None) -> AsyncIterator[AlertRulesView]:
        """Yield the versions of the alert rules, newest first."""
        return self._list("/v1/oversight/alert-rules", AlertRulesView, limit, {})


def _of(alert_id: str) -> str:
    return f"{_PATH}/{segment(alert_id)}"
