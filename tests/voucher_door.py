"""The doors of programmes, vouchers and claims on a world, and callers with keys of their own."""

import itertools
from typing import Any, cast

import httpx

from exchange.claims.routes import ClaimsController
from exchange.claims.statement_routes import StatementsController
from exchange.kit.auth import Authenticator, Principal, StoredKey, hash_secret
from exchange.kit.clock import ManualClock
from exchange.kit.database import Database
from exchange.kit.http_app import build_app
from exchange.kit.ids import encode_id, new_id
from exchange.participants.models import ParticipantKind
from exchange.programmes.life_routes import ProgrammeStepsController
from exchange.programmes.registry import ProgrammeRegistry
from exchange.programmes.routes import ProgrammesController
from exchange.vouchers.routes import VouchersController
from tests.voucher_world import NOW_US, VoucherWorld

SECRET = "s" * 43


class Caller:
    """A participant with a key, at the door of the application."""

    def __init__(self, client: httpx.AsyncClient, principal: Principal) -> None:
        """Speak for a principal."""
        self._client = client
        self._numbers = itertools.count(1)
        self.principal = principal
        self.id = encode_id("par", principal.participant_id)
        public = encode_id("key", principal.key_id).removeprefix("key_")
        self._headers = {"Authorization": f"Bearer cx_{public}_{SECRET}"}

    async def get(self, path: str, status: int = 200) -> Any:
        """Read a path and expect a status."""
        answer = await self._client.get(path, headers=self._headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def text(self, path: str) -> str:
        """Get a file."""
        return (await self._client.get(path, headers=self._headers)).text

    async def post(self, path: str, body: object = None, status: int = 201, key: str = "") -> Any:
        """Post to a path, under a fresh Idempotency-Key unless one is given, and expect a status."""
        headers = {**self._headers, "Idempotency-Key": key or f"{self.id}-{next(self._numbers)}"}
        answer = await self._client.post(path, headers=headers, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()


class Door:
    """The application on a world, and keys for those who join it."""

    def __init__(self, database: Database) -> None:
        """Open the application."""
        self.world = VoucherWorld(database)
        self.registry = ProgrammeRegistry()
        self.clock = ManualClock(NOW_US)
        self._keys: dict[int, StoredKey] = {}
        app = build_app(
            [
                ProgrammesController,
                ProgrammeStepsController,
                VouchersController,
                ClaimsController,
                StatementsController,
            ],
            authenticator=Authenticator(self._stored_key),
            is_ready=self._is_ready,
            state={
                "database": database,
                "clock": self.clock,
                "accounts": self.world.accounts,
                "programmes": self.registry,
            },
        )
        transport = httpx.ASGITransport(cast("Any", app))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://exchange")

    async def _stored_key(self, key_id: int) -> StoredKey | None:
        return self._keys.get(key_id)

    async def _is_ready(self) -> bool:
        return True

    async def join(self, kind: ParticipantKind) -> Caller:
        """Register a participant and give it a key."""
        principal = await self.world.join(kind)
        self._keys[principal.key_id] = StoredKey(principal=principal, secret_sha256=hash_secret(SECRET))
        return Caller(self.client, principal)


def rules(*admitted: Caller, **changes: object) -> dict[str, object]:
    return {
        "budget_fen": 100_000,
        "rate_tiers": [{"bps": 3_000}],
        "cap_per_year_fen": 50_000,
        "validity_days": 90,
        "provider": {"admitted": [each.id for each in admitted]},
        **changes,
    }


def code_of() -> str:
    return f"code-{new_id()}"
