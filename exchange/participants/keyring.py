"""The keys as one process knows them: what it remembers, what it hears of others, what it writes down.

A key is read when it first opens the door and remembered; a change made anywhere is heard at its commit
(`kit.notices`, channel `api_key`) and the key read again. What a revoked key has open is closed (`ends`).
When each was last used is written once a minute, for all keys in one statement, never while a request waits.
Sessions of the console are kept in the same way (`session_door`, channel `console_session`).

Known limit: a crash loses the uses of the last minute.
"""

import logging
from collections.abc import Collection
from typing import Final

from exchange.kit import nonces
from exchange.kit.auth import StoredKey
from exchange.kit.auth_guard import FailureRecord, GuardedAuthenticator
from exchange.kit.chores import Chore, Work
from exchange.kit.clock import US_PER_SECOND
from exchange.kit.database import ConnectionLost, Database
from exchange.kit.http_limits import Limits
from exchange.kit.key_ends import KeyEnds
from exchange.kit.notices import Notices
from exchange.kit.signatures import Signature
from exchange.participants import console_sessions, rules, service
from exchange.participants.models import KeyUse
from exchange.participants.session_door import SessionDoor

CHANNEL: Final = "api_key"
"""Told by triggers of migrations/0001_participants.sql, with the id of the key that was changed."""
SESSION_CHANNEL: Final = "console_session"
"""The same, with the id of the session."""
SESSION_PERIOD_S: Final = 3600.0
USE_PERIOD_S: Final = 60.0
NONCE_PERIOD_S: Final = 60.0
_MINUTE_US: Final = 60 * US_PER_SECOND

_log = logging.getLogger(__name__)


class Keyring:
    """Made before `notices` starts; `start` after it, `stop` while the database is still there."""

    def __init__(
        self,
        database: Database,
        notices: Notices,
        *,
        limits: Limits,
        failures: FailureRecord,
        session_idle_s: int,
    ) -> None:
        """`session_idle_s` is how long a session of the console may be unused."""
        self.authenticator = GuardedAuthenticator(
            self._load, limits, failures, is_told=lambda: notices.is_listening, spend=self._spend
        )
        self.sessions = SessionDoor(
            self._load_session,
            limits,
            failures,
            is_told=lambda: notices.is_listening,
            tries=self.authenticator.tries,
            touch=self._touch_session,
        )
        self.ends = KeyEnds(self._ended_among)
        self._database = database
        self._session_idle_s = session_idle_s
        self._chores = [
            self.ends.chore,
            _periodical("key-uses", self.write_uses, USE_PERIOD_S, "the last uses of keys are not written"),
            _periodical("nonces", self._drop_nonces, NONCE_PERIOD_S, "old nonces are not dropped"),
            _periodical(
                "old-sessions", self.drop_old_sessions, SESSION_PERIOD_S, "old sessions are not dropped"
            ),
        ]
        notices.on(CHANNEL, self._hear)
        notices.on(SESSION_CHANNEL, self._hear)
        notices.on_lost(self.authenticator.forget_all)
        notices.on_lost(self.sessions.forget_all)

    async def start(self) -> None:
        """Begin what is done beside requests."""
        for chore in self._chores:
            chore.start()

    async def stop(self) -> None:
        """End it, and write the last uses."""
        for chore in self._chores:
            await chore.stop()
        try:
            await self.write_uses()
        except ConnectionLost as error:
            _log.warning("the last uses of keys were not written: %s", error)

    async def write_uses(self) -> None:
        """Write when keys were last used; what the database does not take is kept for the next time."""
        by_session, self.sessions.used = self.sessions.used, {}
        used, self.authenticator.used = by_session | self.authenticator.used, {}
        if not used:
            return
        uses = [
            KeyUse(key_id, at_us - at_us % _MINUTE_US, rules.address_of(client_ip))
            for key_id, (at_us, client_ip) in used.items()
        ]
        try:
            async with self._database.transaction() as connection:
                await service.mark_keys_used(connection, uses)
        except BaseException:
            self.authenticator.used = used | self.authenticator.used
            raise

    async def drop_old_sessions(self) -> None:
        """Drop sessions and login codes that ended long ago, in the whole exchange."""
        may_be_more = True
        while may_be_more:
            async with self._database.transaction() as connection:
                may_be_more = await console_sessions.drop_old(connection)

    def _hear(self, payload: str) -> None:
        """Hear of a key or a session: ids are of one or the other, never of both."""
        changed_id = int(payload)
        self.authenticator.forget(changed_id)
        self.sessions.forget(changed_id)
        self.ends.look_at(changed_id)

    async def _load(self, key_id: int) -> StoredKey | None:
        async with self._database.connection() as connection:
            return await service.load_stored_key(connection, key_id)

    async def _load_session(self, session_id: int) -> StoredKey | None:
        async with self._database.connection() as connection:
            session = await console_sessions.find_session(connection, session_id)
        return None if session is None else session.key

    async def _touch_session(self, session_id: int, client_ip: str | None) -> bool:
        async with self._database.transaction() as connection:
            return await console_sessions.touch_session(
                connection, session_id, self._session_idle_s, client_ip
            )

    async def _spend(self, key_id: int, signature: Signature) -> bool:
        return await nonces.spend(self._database, key_id, signature)

    async def _ended_among(self, held_ids: Collection[int]) -> list[int]:
        """Return the keys and sessions that have ended; whoever holds a session holds its key, too."""
        async with self._database.connection() as connection:
            keys = await service.ended_keys(connection, held_ids)
            return keys + await console_sessions.ended_sessions(connection, held_ids, self._session_idle_s)

    async def _drop_nonces(self) -> None:
        await nonces.drop_old(self._database)


def _periodical(name: str, work: Work, period_s: float, undone: str) -> Chore:
    return Chore(name, work, undone=undone, period_s=period_s, first_s=period_s, retry_s=period_s)
