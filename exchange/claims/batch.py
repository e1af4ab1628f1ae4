"""Claims under several programmes at once, each for itself. Runs inside the caller's transaction.

Locks: the claimant, then all its receivables in order of ids, whatever order the programmes are named in. So
it and an hour that captures under several of them never wait for each other.
"""

from collections.abc import Sequence

from exchange.claims import store
from exchange.claims.models import BATCH_MAX, Claim
from exchange.claims.rules import claimant_kind_of
from exchange.claims.service import open_claim, submit_claim
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Refusal
from exchange.programmes.rules import asset_of


async def claim_batch(
    connection: Connection,
    principal: Principal,
    programme_ids: Sequence[int],
    now_us: int,
    *,
    submit: bool,
) -> list[tuple[int, Claim | Refusal]]:
    """Claim under several programmes, each for itself: (programme id, its claim or what refused it).

    Without programmes: under all in which something captured is not claimed, at most `BATCH_MAX`. Raises
    `Forbidden` for anyone but a provider or a buyer.
    """
    claimant_kind_of(principal)
    wanted = list(dict.fromkeys(programme_ids))
    if not wanted:
        wanted = await store.claimable_programmes(connection, principal.participant_id, BATCH_MAX)
    if submit:
        await store.lock_claimant(connection, principal.participant_id)
        assets = [asset_of(programme_id) for programme_id in wanted]
        await store.lock_receivables(connection, principal.participant_id, assets)
    make = submit_claim if submit else open_claim
    outcomes: list[tuple[int, Claim | Refusal]] = []
    for programme_id in wanted:
        try:
            async with connection.transaction():  # what is refused leaves nothing, the others stay
                outcomes.append((programme_id, await make(connection, principal, programme_id, now_us)))
        except Refusal as refusal:
            outcomes.append((programme_id, refusal))
    return outcomes
