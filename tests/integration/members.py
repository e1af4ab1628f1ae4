"""An application with the routes of participants, keys and money, and callers with keys of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final, cast

import httpx
import msgspec
import pytest

from exchange.kit.auth import Authenticator, Scope, StoredKey
from exchange.kit.clock import ManualClock
from exchange.kit.database import Database
from exchange.kit.http_app import build_app
from exchange.kit.ids import encode_id
from exchange.ledger.routes import AccountsController, CashController
from exchange.participants import service
from exchange.participants.buyer_routes import BuyersController
from exchange.participants.models import KeyGrant, NewParticipant, ParticipantKind
from exchange.participants.routes import KeysController, ParticipantsController, TradeGroupsController
from exchange.participants.rules import KIND_SCOPES

AT_US = 1_800_000_000_000_000
BUYER_BODY: Final = {
    "kind": "buyer",
    "name": "新算力科技",
    "region": "hangzhou",
    "size_class": "micro",
    "founded_on": "2025-02-28",
    "sectors": ["large-models"],
}
"""What an operator sends to register a buyer."""
_numbers = count(1)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A participant with a key, and the client to call with."""

    http: httpx.AsyncClient
    participant_id: int
    secret: str

    @property
    def id(self) -> str:
        """The participant's id as the API writes it."""
        return encode_id("par", self.participant_id)

    async def get(self, path: str) -> httpx.Response:
        """Read a path."""
        return await self.http.get(path, headers={"Authorization": f"Bearer {self.secret}"})

    async def delete(self, path: str) -> httpx.Response:
        """Delete a path."""
        return await self.http.delete(path, headers={"Authorization": f"Bearer {self.secret}"})

    async def post(self, path: str, body: object, key: str | None = None) -> httpx.Response:
        """Send a body, under a fresh Idempotency-Key unless one is given."""
        headers = {
            "Authorization": f"Bearer {self.secret}",
            "Content-Type": "application/json",
            "Idempotency-Key": key or f"test-{next(_numbers)}",
        }
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.http.post(path, content=content, headers=headers)

    def with_key(self, secret: str) -> "Caller":
        """Return the same participant with another key."""
        return msgspec.structs.replace(self, secret=secret)


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the routes from this process, without a socket."""

    async def load(key_id: int) -> StoredKey | None:
        async with database.connection() as connection:
            return await service.load_stored_key(connection, key_id)

    async def is_ready() -> bool:
        return True

    authenticator = Authenticator(load)
    app = build_app(
        [
            ParticipantsController,
            BuyersController,
            TradeGroupsController,
            KeysController,
            AccountsController,
            CashController,
        ],
        authenticator=authenticator,
        is_ready=is_ready,
        state={"database": database, "clock": ManualClock(AT_US), "authenticator": authenticator},
    )
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
        yield client


async def join(
    database: Database,
    http: httpx.AsyncClient,
    new: NewParticipant,
    *scopes: Scope,
    expires_at_us: int | None = None,
) -> Caller:
    """Register a participant and give it a key, with all its kind's scopes or with those named."""
    async with database.transaction() as connection:
        participant = await service.create_participant(connection, None, new, AT_US)
        grant = KeyGrant(
            participant_id=participant.id,
            scopes=frozenset(scopes) or KIND_SCOPES[participant.kind],
            expires_at_us=expires_at_us,
        )
        _, secret = await service.create_key(connection, None, grant, AT_US)
    return Caller(http=http, participant_id=participant.id, secret=secret)


async def join_as(database: Database, http: httpx.AsyncClient, kind: ParticipantKind, name: str) -> Caller:
    """Register a participant that needs no facts (issuer, regulator, operator) and give it a key."""
    return await join(database, http, NewParticipant(kind=kind, name=name))


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the routes. A test names it and `operator` as its own fixtures: `http = members.http`."""
    async with running(database) as client:
        yield client


@pytest.fixture
async def operator(database: Database, http: httpx.AsyncClient) -> Caller:
    """An operator, who may register others."""
    return await join_as(database, http, ParticipantKind.OPERATOR, "desk")


def faults_of(answer: httpx.Response) -> set[tuple[str, str]]:
    """Return the pointer and the code of each fault that a problem names."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {(fault["pointer"], fault["code"]) for fault in answer.json().get("errors", [])}
