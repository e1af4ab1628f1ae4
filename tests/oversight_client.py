"""An application with oversight alone, and clients for it with keys of any scope."""

from typing import Any, cast

import httpx

from exchange.kit.auth import Authenticator, NewKey, Principal, Scope, StoredKey, new_key
from exchange.kit.clock import Clock
from exchange.kit.database import Database
from exchange.kit.http_app import build_app
from exchange.oversight.life_routes import LivesController
from exchange.oversight.lives import Lives
from exchange.oversight.questions import Questions
from exchange.oversight.routes import OversightController
from exchange.oversight.service import OversightService


async def _is_ready() -> bool:
    return True


class OversightApp:
    """Serves one database; `client` gives a client with a fresh key, or with none."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.service = OversightService(reads=database)
        self._keys: dict[int, StoredKey] = {}
        self.app = build_app(
            [OversightController, LivesController],
            authenticator=Authenticator(self._load),
            is_ready=_is_ready,
            state={
                "oversight": self.service,
                "lives": Lives(reads=database),
                "questions": Questions(database=database, clock=clock),
            },
        )

    async def _load(self, key_id: int) -> StoredKey | None:
        return self._keys.get(key_id)

    def issue(self, participant_id: int, *scopes: Scope) -> NewKey:
        """Make a key for a participant."""
        key = new_key()
        principal = Principal(
            key_id=key.key_id,
            participant_id=participant_id,
            kind="regulator",
            name="regulator",
            trade_group_id=None,
            scopes=frozenset(scopes),
        )
        self._keys[key.key_id] = StoredKey(principal=principal, secret_sha256=key.secret_sha256)
        return key

    def client(self, key: NewKey | None) -> httpx.AsyncClient:
        """Return a client that speaks to the application in this process."""
        headers = {} if key is None else {"Authorization": f"Bearer {key.text}"}
        transport = httpx.ASGITransport(cast("Any", self.app))
        return httpx.AsyncClient(transport=transport, base_url="http://exchange", headers=headers)
