"""From a partition's intake stream to its sequencer, in the order of the stream.

Reading begins where the last commit left off, whoever led then. It goes no faster than the sequencer commits.
What has been followed by a commit is trimmed away.

Invariants:
- a leader that Redis has not answered for as long as the gateways are patient leads no more (`RedisLost`):
  PostgreSQL may well renew its lease, but no request reaches it, and another engine may be reached;
- a request older than the gateways' patience, by Redis' own clock, has no effect: its caller has gone, and
  an order must not trade minutes later. Its refusal is committed like any outcome;
- an entry that came twice has one effect, as long as this leader leads. After that, orders and amendments
  have theirs once all the same; a cancel finds nothing left, or what has been placed since.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from exchange.fleet.codec import Unreadable, read_letters, read_request
from exchange.fleet.streams import intake_stream, offset_of, read_offset
from exchange.kit.clock import monotonic_s
from exchange.kit.errors import NOTHING_BY_THIS, Unavailable
from exchange.kit.redis import BEGINNING, RedisLost, RedisRefused, StreamReader, before, place_of
from exchange.orders.answers import Waiting
from exchange.orders.outcomes import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from exchange.fleet.answering import AnswerDesk
    from exchange.kit.redis import Entry, Page, Redis
    from exchange.orders.models import Request
    from exchange.orders.sequencer import Sequencer
    from exchange.products.models import ProductSpec

ENTRIES_AT_ONCE: Final = 16
BLOCK_S: Final = 1.0
RETRY_S: Final = 0.1
TRIM_S: Final = 0.5
REMEMBERED_MAX: Final = 200_000

_log = logging.getLogger(__name__)


class Taker:
    """Follows a partition's intake stream for a sequencer that has started."""

    def __init__(
        self,
        redis: Redis,
        partition_id: int,
        sequencer: Sequencer,
        desk: AnswerDesk,
        *,
        products: Mapping[str, ProductSpec],
        patience_s: float,
    ) -> None:
        self._redis = redis
        self._stream = intake_stream(partition_id)
        self._sequencer = sequencer
        self._desk = desk
        self._products = products
        self._patience_s = patience_s
        self._remembered: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._first_id, self._first_done = read_offset(sequencer.head.intake_offset)
        # The entry itself is read again: of a group whose last requests were not committed, they follow.
        after = before(self._first_id) if self._first_id else BEGINNING
        self._reader = StreamReader(redis, self._stream, after=after, entries_max=ENTRIES_AT_ONCE)

    async def run(self) -> None:
        """Follow the stream until cancelled; raises `RedisLost` once nothing was read for the patience."""
        trims_s = monotonic_s() + TRIM_S
        lost_since_s: float | None = None
        while True:
            await self._desk.room()
            begun_s = monotonic_s()
            try:
                page = await self._reader.read(BLOCK_S)
                lost_since_s = None
                await self._take(page)
                if monotonic_s() >= trims_s:
                    await self._trim()
                    trims_s = monotonic_s() + TRIM_S
            except (RedisLost, RedisRefused) as error:
                if lost_since_s is None:
                    _log.warning("the stream %s cannot be read: %s", self._stream, error)
                if isinstance(error, RedisLost):
                    lost_since_s = begun_s if lost_since_s is None else lost_since_s
                    if monotonic_s() - lost_since_s > self._patience_s:
                        raise
                await asyncio.sleep(RETRY_S)

    async def _take(self, page: Page) -> None:
        now_s = monotonic_s()
        for entry in page.entries:
            age_s = (page.now_ms - place_of(entry.id)[0]) / 1000
            waiting = self._waiting(entry, now_s, now_s + self._patience_s - max(0.0, age_s))
            await self._desk.room()
            while waiting:
                try:
                    self._sequencer.take(waiting)
                    break
                except Unavailable:
                    # Its books are being rebuilt. Once it has ended, whoever runs this cancels it.
                    await asyncio.sleep(RETRY_S)

    def _waiting(self, entry: Entry, now_s: float, expires_s: float) -> list[Waiting]:
        try:
            letters = read_letters(entry.data)
        except Unreadable:
            _log.exception("an entry of %s cannot be read: %s", self._stream, entry.id)
            return []
        done = self._first_done if entry.id == self._first_id else 0
        return [
            Waiting(
                request=self._read(raw) if letters.is_readable else _of_another_version(),
                answer=self._desk.expect(letters.gateway, number),
                since_s=now_s,
                offset=offset_of(entry.id, place),
                expires_s=expires_s,
            )
            for place, (number, raw) in enumerate(letters.requests, start=1)
            if place > done and self._is_new(letters.gateway, number)
        ]

    def _is_new(self, gateway: str, number: int) -> bool:
        key = (gateway, number)
        if key in self._remembered:
            return False
        self._remembered[key] = None
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return True

    def _read(self, raw: msgspec.Raw) -> Request | Refused:
        try:
            return read_request(raw, self._products)
        except Unreadable:
            _log.exception("a request of %s cannot be read", self._stream)
            return _of_another_version()

    async def _trim(self) -> None:
        if not self._sequencer.is_ready:
            return
        entry_id, _ = read_offset(self._sequencer.head.intake_offset)
        # After a loss the offset may lie ahead of what was read since.
        if entry_id and place_of(entry_id) <= place_of(self._reader.after):
            await self._redis.trim(self._stream, entry_id)


def _of_another_version() -> Refused:
    detail = f"the engine is of another version and cannot read the request; {NOTHING_BY_THIS}"
    return Refused(refusal=Unavailable("not_committed", detail))
