"""What a failed authentication costs, and where it is written down.

Each is refused before its body is read, ends its connection (and so costs its sender a new one), and counts
against its address. One that has failed too often is let try only keys that have opened this process before:
guessing then reads no database and compares no secret. Before that a try costs us one row read by its key, or
nothing where the text is no key's. What failed is summed up by address and told once a period: a line in the
log and a row of the audit trail for each address, with the ids of keys that were named. So a flood writes no
more than a few rows a period.

Invariant: however many strange keys come at once, no more fail than the address may, and no good one is
refused because others are looked at: a failure is counted before the row is read and given back where it did
not come, and tries beyond what may fail wait for those under way.

Known limits: between two periods a crash loses the sums of the last one. A key is named as it was sent, which
does not prove that it exists. Who has the secret of a key that signs, but not its private key, can make us
verify signatures, at about the cost of answering any other request.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import (
    KEY_SCHEME,
    Authenticator,
    Principal,
    StoredKey,
    bearer_text,
    no_memory,
    split_key,
)
from exchange.kit.database import ConnectionLost, Database
from exchange.kit.errors import Unauthenticated
from exchange.kit.http_limits import Limits, address_of, caller_of
from exchange.kit.ids import encode_id
from exchange.kit.signatures import Signature

PERIOD_S: Final = 10.0
ADDRESSES_MAX: Final = 50
"""Addresses told of in one period; the failures of further ones are summed under `others`."""
KEYS_MAX: Final = 5
_OTHERS: Final = "others"

_log = logging.getLogger(__name__)


class Failures(msgspec.Struct):
    """What failed at one address in a period."""

    count: int = 0
    key_ids: dict[int, None] = msgspec.field(default_factory=dict)


class FailureRecord:
    """The failures since they were last written."""

    def __init__(self, database: Database, now_us: Callable[[], int]) -> None:
        """`now_us` is venue time, by which the audit trail is kept."""
        self.total = 0
        self._database = database
        self._now_us = now_us
        self._by_address: dict[str, Failures] = {}

    def add(self, address: str, key_id: int | None) -> None:
        """Count a failure; `key_id` is the key that was named, if one was."""
        self.total += 1
        where = caller_of(address)
        if where not in self._by_address and len(self._by_address) >= ADDRESSES_MAX:
            where = _OTHERS
        failures = self._by_address.setdefault(where, Failures())
        failures.count += 1
        if key_id is not None and len(failures.key_ids) < KEYS_MAX:
            failures.key_ids[key_id] = None

    async def write(self) -> None:
        """Write what was counted since the last time; what the database does not take is kept, and raised."""
        told, self._by_address = self._by_address, {}
        if not told:
            return
        at_us = self._now_us()
        details = [
            {
                "address": address,
                "failures": failures.count,
                "keys": [encode_id("key", key_id) for key_id in failures.key_ids],
            }
            for address, failures in told.items()
        ]
        try:
            async with self._database.transaction() as connection:
                await insert_audit_records(
                    connection,
                    [AuditRecord(code="AUTF", event_at_us=at_us, detail=detail) for detail in details],
                )
        except BaseException:
            for address, failures in told.items():
                self._keep(address, failures)
            raise
        for detail in details:
            _log.warning("authentication failed", extra={"fields": detail})

    async def write_last(self) -> None:
        """Write at the end of the process what is left; a database that is away keeps nobody."""
        try:
            await self.write()
        except ConnectionLost as error:
            _log.warning("the last failed authentications were not written: %s", error)

    def _keep(self, address: str, failures: Failures) -> None:
        """Take failures back that were not written, beside those of since then."""
        kept = self._by_address.setdefault(address, failures)
        if kept is not failures:
            kept.count += failures.count
            kept.key_ids = dict.fromkeys([*failures.key_ids, *kept.key_ids][:KEYS_MAX])


class Tries:
    """Keys that may fail, tried at once: no more of an address than it may yet fail."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._under_way: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def one(self, address: str) -> AsyncIterator[None]:
        """Try a key: what ends with `Unauthenticated` has failed. Raises `RateLimited`."""
        who = caller_of(address)
        while not self._limits.count_failure(address):
            if who in self._under_way:
                await self._one_ended(who)
            else:
                self._limits.refuse_failures(address)
        self._under_way[who] = self._under_way.get(who, 0) + 1
        has_failed = False
        try:
            yield
        except Unauthenticated:
            has_failed = True
            raise
        finally:
            if not has_failed:
                self._limits.give_failure_back(address)
            self._end(who, wake=0 if has_failed else 1)

    async def _one_ended(self, who: str) -> None:
        """Return when it is worth another look: one has opened, or none is under way any more."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(ended)
        await ended

    def _end(self, who: str, wake: int) -> None:
        self._under_way[who] -= 1
        waiting = self._waiting.get(who, deque())
        if not self._under_way[who]:
            del self._under_way[who]
            self._waiting.pop(who, None)
            wake = len(waiting)
        while wake and waiting:
            ended = waiting.popleft()
            if not ended.done():  # who waited may have gone
                ended.set_result(None)
                wake -= 1


class GuardedAuthenticator(Authenticator):
    """An authenticator that counts what fails and stops listening to who fails too often."""

    def __init__(
        self,
        load: Callable[[int], Awaitable[StoredKey | None]],
        limits: Limits,
        record: FailureRecord,
        *,
        is_told: Callable[[], bool] = lambda: False,
        spend: Callable[[int, Signature], Awaitable[bool]] = no_memory,
        scheme: str = KEY_SCHEME,
        tries: Tries | None = None,
    ) -> None:
        """`tries` are shared by authenticators of the same callers."""
        super().__init__(load, is_told=is_told, spend=spend, scheme=scheme)
        self.tries = tries or Tries(limits)
        self._limits = limits
        self._record = record

    def authenticate(
        self, header: str | None, client_ip: str | None, scope: Mapping[str, Any] | None = None
    ) -> Coroutine[Any, Any, Principal]:
        """Return who holds the key, or raise `Unauthenticated` or `RateLimited`."""
        if header is None:
            address = client_ip or ""
            if not self._limits.may_fail(address):
                self._limits.refuse_failures(address)
            raise Unauthenticated
        return self.open(bearer_text(header), client_ip, scope)

    async def open(
        self, text: str, client_ip: str | None, scope: Mapping[str, Any] | None = None
    ) -> Principal:
        """Return who holds the key, or raise `Unauthenticated` or `RateLimited`."""
        address = client_ip or ""
        is_strange = not self.remembers(text)
        try:
            if not is_strange:
                return await super().open(text, client_ip, scope)
            async with self.tries.one(address):
                return await super().open(text, client_ip, scope)
        except Unauthenticated as refusal:
            self.fail(refusal, address, self._named(text), is_counted=is_strange)
            raise

    def _named(self, text: str) -> int | None:
        """Return the key that a text names; a session's own id tells nobody which key failed."""
        parts = split_key(text, self.scheme) if self.scheme == KEY_SCHEME else None
        return None if parts is None else parts[0]

    async def spend_signature(self, principal: Principal, scope: Mapping[str, Any]) -> None:
        """Let a signature be good once; one that was sent before is a failure too."""
        try:
            await super().spend_signature(principal, scope)
        except Unauthenticated as refusal:
            self.fail(refusal, address_of(scope), principal.key_id)
            raise

    def fail(
        self, refusal: Unauthenticated, address: str, key_id: int | None, *, is_counted: bool = False
    ) -> None:
        """Count a failure, unless it is counted already, write it down, and let it end its connection."""
        refusal.headers["Connection"] = "close"
        if not is_counted:
            self._limits.count_failure(address)
        self._record.add(address, key_id)
