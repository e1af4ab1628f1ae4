"""How a session's cookie opens one process: remembered as a key is, and noted as used once a minute.

A session that was verified is believed as long as its key would be; a change of the key or of the session is
told at its commit. Beside that a request costs nothing, but one statement in `TOUCH_S`, which also says
whether the session was unused for too long. What comes meanwhile waits for that statement.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from exchange.kit.auth import SESSION_SCHEME, Principal, StoredKey
from exchange.kit.auth_guard import FailureRecord, GuardedAuthenticator, Tries
from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.errors import Unauthenticated
from exchange.kit.http_limits import Limits
from exchange.participants.console_sessions import TOUCH_S

REMEMBERED_MAX: Final = 10_000


class SessionDoor(GuardedAuthenticator):
    """An authenticator of sessions. `touch` notes a use and its address, and says whether it goes on."""

    def __init__(
        self,
        load: Callable[[int], Awaitable[StoredKey | None]],
        limits: Limits,
        record: FailureRecord,
        *,
        is_told: Callable[[], bool],
        tries: Tries,
        touch: Callable[[int, str | None], Awaitable[bool]],
    ) -> None:
        super().__init__(load, limits, record, is_told=is_told, scheme=SESSION_SCHEME, tries=tries)
        self._touch = touch
        self._touched: dict[int, int] = {}
        self._touching: dict[int, asyncio.Task[bool]] = {}

    async def open(
        self, text: str, client_ip: str | None, scope: Mapping[str, Any] | None = None
    ) -> Principal:
        """Return whose session it is, or raise `Unauthenticated` or `RateLimited`."""
        principal = await super().open(text, client_ip, scope)
        session_id = principal.session_id
        if session_id is None:
            raise TypeError("a session's principal has the session's id")
        age_us = wall_now_us() - self._touched.get(session_id, 0)
        if not 0 <= age_us < TOUCH_S * US_PER_SECOND and not await self._goes_on(session_id, client_ip):
            self.forget(session_id)
            refusal = Unauthenticated()
            self.fail(refusal, client_ip or "", principal.key_id)
            raise refusal
        return principal

    def forget(self, key_id: int) -> None:
        """Read this session, or those of this key, again at the next use, and ask whether it goes on."""
        super().forget(key_id)
        self._touched.pop(key_id, None)

    async def _goes_on(self, session_id: int, client_ip: str | None) -> bool:
        """Note the use, once for all requests that wait for it."""
        task = self._touching.get(session_id)
        if task is None:
            task = self._touching[session_id] = asyncio.create_task(self._note(session_id, client_ip))
            task.add_done_callback(lambda _: self._touching.pop(session_id, None))
        return await asyncio.shield(task)

    async def _note(self, session_id: int, client_ip: str | None) -> bool:
        goes_on = await self._touch(session_id, client_ip)
        if goes_on:
            if len(self._touched) >= REMEMBERED_MAX:
                self._touched.clear()
            self._touched[session_id] = wall_now_us()
        else:
            self._touched.pop(session_id, None)
        return goes_on
