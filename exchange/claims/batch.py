"""Claims under several programmes at once, each for itself. Runs inside the caller's transaction.

All are opened before the first is submitted, so that all receivables exist and are locked in order of ids,
whatever order the programmes are named in: an hour that captures under several never waits in a circle.
"""

from collections.abc import Sequence

from exchange.claims import store
from exchange.claims.models import BATCH_MAX, Claim
from exchange.claims.rules import claimant_kind_of
from exchange.claims.service import open_claim, open_proven_claim, submit_claims
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Refusal


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
    make = open_proven_claim if submit else open_claim
    outcomes: dict[int, Claim | Refusal] = {}
    for programme_id in wanted:
        try:
            async with connection.transaction():  # what is refused leaves nothing, the others stay
                outcomes[programme_id] = await make(connection, principal, programme_id, now_us)
        except Refusal as refusal:
            outcomes[programme_id] = refusal
    if submit:
        opened = [each for each in outcomes.values() if isinstance(each, Claim)]
        for claim in await submit_claims(connection, principal, opened, now_us):
            outcomes[claim.programme_id] = claim
    return list(outcomes.items())
