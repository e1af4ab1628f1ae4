"""What a failed authentication costs, and where it is written down.

Each counts against its address; one that has failed too often is let try only keys that have opened this
process before: guessing then reads no database, compares no secret, and ends its connection each time. What
failed is summed up by address and told once a period: a line in the log and a row of the audit trail for each
address, with the ids of keys that were named. So a flood writes no more than a few rows a period.

Known limit: between two periods a crash loses the sums of the last one. A key is named as it was sent, which
does not prove that it exists.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Authenticator, Principal, StoredKey, split_key
from exchange.kit.database import ConnectionLost, Database
from exchange.kit.errors import Unauthenticated
from exchange.kit.http_limits import Limits, caller_of
from exchange.kit.ids import encode_id

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

    def add(self, address: str, header: str | None) -> None:
        """Count a failure."""
        self.total += 1
        where = caller_of(address)
        if where not in self._by_address and len(self._by_address) >= ADDRESSES_MAX:
            where = _OTHERS
        failures = self._by_address.setdefault(where, Failures())
        failures.count += 1
        parts = split_key((header or "")[7:].strip())
        if parts is not None and len(failures.key_ids) < KEYS_MAX:
            failures.key_ids[parts[0]] = None

    async def write(self) -> None:
        """Write what was counted since the last time; what the database does not take is kept."""
        told, self._by_address = self._by_address, {}
        if not told:
            return
        at_us = self._now_us()
        records = []
        for address, failures in told.items():
            keys = [encode_id("key", key_id) for key_id in failures.key_ids]
            fields = {"address": address, "failures": failures.count, "keys": keys}
            _log.warning("authentication failed", extra={"fields": fields})
            records.append(AuditRecord(code="AUTF", event_at_us=at_us, detail=fields))
        try:
            async with self._database.transaction() as connection:
                await insert_audit_records(connection, records)
        except ConnectionLost:
            for address, failures in told.items():
                kept = self._by_address.setdefault(address, failures)
                if kept is not failures:
                    kept.count += failures.count


class GuardedAuthenticator(Authenticator):
    """An authenticator that counts what fails and stops listening to who fails too often."""

    def __init__(
        self, load: Callable[[int], Awaitable[StoredKey | None]], limits: Limits, record: FailureRecord
    ) -> None:
        super().__init__(load)
        self._limits = limits
        self._record = record

    async def authenticate(self, header: str | None, client_ip: str | None) -> Principal:
        """Return who holds the key, or raise `Unauthenticated` or `RateLimited`."""
        address = client_ip or ""
        if not self._limits.may_fail(address) and not (header and self.remembers(header)):
            self._limits.refuse_failures(address)
        try:
            return await super().authenticate(header, client_ip)
        except Unauthenticated:
            if header is not None:
                self._limits.count_failure(address)
                self._record.add(address, header)
            raise
