"""Routes whose effect happens once however often they are sent: Idempotency-Key around one transaction."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from litestar import Response

from exchange.kit.database import Connection, Database
from exchange.kit.http_request import ApiRequest
from exchange.kit.idempotency import StoredAnswer, claim, store

T = TypeVar("T", bound=msgspec.Struct)


async def once(
    request: ApiRequest,
    work: Callable[[Connection], Awaitable[T]],
    *,
    status: int = 201,
    remember: Callable[[T], T] | None = None,
) -> Response[T]:
    """Do `work` in a transaction of its own, or give the answer it gave before under this Idempotency-Key.

    The answer is stored in the same transaction, as `remember` makes it (to leave out what is shown only
    once). A refusal stores nothing, so the same key may be sent again. The route declares `once=True`. Needs
    `database` in the application's state.
    """
    key = request.idempotency_key()
    fingerprint = await request.fingerprint()
    participant_id = request.principal.participant_id
    database: Database = request.app.state.database
    async with database.transaction() as connection:
        stored = await claim(connection, participant_id, key, fingerprint)
        if stored is not None:
            body = msgspec.Raw(stored.body)
            return Response(body, status_code=stored.status, headers={"Idempotent-Replayed": "true"})  # type: ignore[arg-type]  # the same answer, encoded before
        answer = await work(connection)
        kept = msgspec.json.encode(answer if remember is None else remember(answer))
        await store(connection, participant_id, key, fingerprint, StoredAnswer(status, kept))
    return Response(answer, status_code=status)
