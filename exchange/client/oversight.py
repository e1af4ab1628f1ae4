"""What a client with the scope `audit` asks of the record."""

from collections.abc import AsyncIterator
from typing import Any

from exchange.client.calls import Calls, segment
from exchange.client.transport import QueryValue
from exchange.oversight.book_models import BookThen
from exchange.oversight.life_models import Question
from exchange.oversight.report_models import Report
from exchange.transparency.models import CheckpointView, ConsistencyProof, LogHead, TradeProof


class Oversight(Calls):
    """A regulator's view; `reason` goes to the record beside each question."""

    async def report(
        self, name: str, *, since: str | None, until: str | None, by: str, reason: str | None
    ) -> Report:
        """Return a report of some days, put together `by` day or month, or all."""
        query: dict[str, QueryValue] = {"from": since, "until": until, "by": by, "reason": reason}
        path = f"/v1/oversight/reports/{segment(name)}"
        return await self._transport.call("GET", path, Report, query=query)

    async def book(
        self, product: str, *, at: str | None, sequence: int | None, limit: int, reason: str | None
    ) -> BookThen:
        """Return a product's book as it stood at a time, after a command, or now."""
        query: dict[str, QueryValue] = {"at": at, "sequence": sequence, "limit": limit, "reason": reason}
        path = f"/v1/oversight/books/{segment(product)}"
        return await self._transport.call("GET", path, BookThen, query=query)

    async def life(self, kind: str, thing_id: str, *, reason: str) -> dict[str, Any]:
        """Return everything that became of one of `orders`, `trades` or `vouchers`."""
        path = f"/v1/oversight/{kind}/{segment(thing_id)}"
        return await self._transport.call("GET", path, dict[str, Any], query={"reason": reason})

    async def latest_checkpoint(self) -> LogHead:
        """Return the latest signed checkpoint of the record, and the keys; needs no key."""
        return await self._transport.call("GET", "/v1/checkpoints/latest", LogHead)

    async def consistency(self, old_size: int, new_size: int) -> ConsistencyProof:
        """Return the proof that the log of one size goes on from that of another; needs no key."""
        query: dict[str, QueryValue] = {"old_size": old_size, "new_size": new_size}
        return await self._transport.call("GET", "/v1/checkpoints/consistency", ConsistencyProof, query=query)

    def checkpoints(self, *, limit: int | None = None) -> AsyncIterator[CheckpointView]:
        """Yield signed checkpoints of the record, oldest first."""
        return self._list("/v1/oversight/checkpoints", CheckpointView, limit, {})

    async def trade_proof(self, trade_id: str, *, reason: str) -> TradeProof:
        """Return the proof that the records of a trade are under a signed checkpoint."""
        path = f"/v1/oversight/trades/{segment(trade_id)}/proof"
        return await self._transport.call("GET", path, TradeProof, query={"reason": reason})

    def questions(self, *, limit: int | None = None) -> AsyncIterator[Question]:
        """Yield questions to the record, newest first."""
        return self._list("/v1/oversight/questions", Question, limit, {})
