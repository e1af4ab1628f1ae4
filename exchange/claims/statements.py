"""Statements as of a moment: an issuer's programmes, a claimant's receivables, the claims of both.

Whoever asks sees its own: an issuer its programmes and what is claimed of them, a provider or a buyer
its receivables and claims, operators and regulators all, others nothing.

Known limits: a moment may still change until it has passed and what was under way at it has committed, some
seconds later. A statement reads every transfer of its programmes up to the moment.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping

from exchange.claims import store
from exchange.claims.models import ID_MAX
from exchange.claims.rules import CLAIMANT_KINDS
from exchange.claims.statement_models import (
    ClaimStatement,
    ClaimThen,
    Movement,
    ProgrammeStatement,
    ReceivableStatement,
)
from exchange.kit import own_reasons
from exchange.kit.auth import Principal
from exchange.kit.clock import format_rfc3339
from exchange.kit.database import Connection, Database
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.ledger.models import TransferReason
from exchange.vouchers.rules import sight_of

EXPORT_PAGE_ROWS = 1_000
_R = TransferReason


async def programme_statements(
    connection: Connection, principal: Principal, as_of_us: int, programme_id: int | None = None
) -> list[ProgrammeStatement]:
    """Return what the principal's programmes were at a moment, in order of their ids."""
    sight = sight_of(principal, *CLAIMANT_KINDS)
    if sight is None or sight.party_id is not None:
        return []
    movements = await store.movements_as_of(
        connection, as_of_us, issuer_id=sight.issuer_id, claimant_id=None, programme_id=programme_id
    )
    totals: dict[tuple[int, str], dict[TransferReason, int]] = defaultdict(lambda: defaultdict(int))
    for each in movements:
        totals[each.programme_id, each.programme_code][each.reason] += each.amount_fen
    return [_programme(*key, totals[key], as_of_us) for key in sorted(totals)]


def _programme(
    programme_id: int, code: str, moved: Mapping[TransferReason, int], as_of_us: int
) -> ProgrammeStatement:
    budget_fen = moved[_R.PROGRAMME_BUDGET] - moved[_R.PROGRAMME_BUDGET_RETURN]
    issued_fen = moved[_R.VOUCHER_ISSUE]
    expired_fen, revoked_fen = moved[_R.VOUCHER_EXPIRY], moved[_R.VOUCHER_REVOCATION]
    with_buyers_fen = issued_fen - expired_fen - revoked_fen - moved[_R.DELIVERY]
    return ProgrammeStatement(
        as_of=format_rfc3339(as_of_us),
        programme_id=encode_id("prg", programme_id),
        programme_code=code,
        budget_cny=format_cny(budget_fen),
        unissued_cny=format_cny(budget_fen - issued_fen),
        issued_cny=format_cny(issued_fen),
        with_buyers_cny=format_cny(with_buyers_fen),
        **_after_capture(moved),
        expired_cny=format_cny(expired_fen),
        revoked_cny=format_cny(revoked_fen),
    )


def _after_capture(moved: Mapping[TransferReason, int]) -> dict[str, str]:
    """Return where what was captured is, given what moved for each reason."""
    submitted_fen = moved[_R.CLAIM_SUBMISSION] - moved[_R.CLAIM_RETURN]
    reduced_fen, redeemed_fen = moved[_R.CLAIM_REDUCTION], moved[_R.CLAIM_REDEMPTION]
    recovered_fen = moved[_R.CLAWBACK_RETURN]
    return {
        "receivable_cny": format_cny(moved[_R.DELIVERY] - submitted_fen),
        "claimed_cny": format_cny(submitted_fen - reduced_fen - redeemed_fen),
        "paid_cny": format_cny(redeemed_fen - recovered_fen),
        "reduced_cny": format_cny(reduced_fen),
        "recovered_cny": format_cny(recovered_fen),
    }


async def receivable_statements(
    connection: Connection, principal: Principal, as_of_us: int, programme_id: int | None = None
) -> list[ReceivableStatement]:
    """Return what claimants had of programmes at a moment, in order of programmes and claimants."""
    sight = sight_of(principal, *CLAIMANT_KINDS)
    if sight is None:
        return []
    movements = await store.movements_as_of(
        connection,
        as_of_us,
        issuer_id=sight.issuer_id,
        claimant_id=sight.party_id,
        programme_id=programme_id,
    )
    return _receivables((each for each in movements if sight.party_id in {None, each.claimant_id}), as_of_us)


def _receivables(movements: Iterable[Movement], as_of_us: int) -> list[ReceivableStatement]:
    totals: dict[tuple[int, str, int], dict[TransferReason, int]] = defaultdict(lambda: defaultdict(int))
    for each in movements:
        if each.claimant_id is not None:
            totals[each.programme_id, each.programme_code, each.claimant_id][each.reason] += each.amount_fen
    return [
        ReceivableStatement(
            as_of=format_rfc3339(as_of_us),
            programme_id=encode_id("prg", programme_id),
            programme_code=code,
            claimant_id=encode_id("par", claimant_id),
            captured_cny=format_cny(moved[_R.DELIVERY]),
            **_after_capture(moved),
        )
        for (programme_id, code, claimant_id), moved in sorted(totals.items())
    ]


async def claim_statements(
    connection: Connection,
    principal: Principal,
    as_of_us: int,
    programme_id: int | None = None,
    *,
    before_id: int = ID_MAX,
    limit: int,
) -> list[ClaimThen]:
    """Return the principal's claims as they stood at a moment, newest first, opened before one."""
    sight = sight_of(principal, *CLAIMANT_KINDS)
    if sight is None:
        return []
    return await store.claims_as_of(
        connection,
        as_of_us,
        before_id=before_id,
        claimant_id=sight.party_id,
        issuer_id=sight.issuer_id,
        programme_id=programme_id,
        limit=limit,
    )


def view_of_claim_then(claim: ClaimThen, as_of_us: int) -> ClaimStatement:
    """Return a claim as it stood, as those who see it see it."""
    return ClaimStatement(
        as_of=format_rfc3339(as_of_us),
        claim_id=encode_id("clm", claim.id),
        programme_id=encode_id("prg", claim.programme_id),
        claimant_id=encode_id("par", claim.claimant_id),
        status=claim.status,
        amount_cny=format_cny(claim.amount_fen),
        step_cny=format_cny(claim.step_fen),
        reason=claim.reason,
        reason_code=own_reasons.code_of(claim.reason),
        opened_at=format_rfc3339(claim.opened_at_us),
        stepped_at=format_rfc3339(claim.stepped_at_us),
    )


async def all_claim_statements(
    database: Database, principal: Principal, as_of_us: int, programme_id: int | None
) -> AsyncIterator[list[ClaimStatement]]:
    """Yield every claim as it stood at a moment, page by page; each page is a question of its own."""
    before_id = ID_MAX
    while True:
        async with database.connection() as connection:
            found = await claim_statements(
                connection,
                principal,
                as_of_us,
                programme_id,
                before_id=before_id,
                limit=EXPORT_PAGE_ROWS,
            )
        if found:
            yield [view_of_claim_then(each, as_of_us) for each in found]
        if len(found) < EXPORT_PAGE_ROWS:
            return
        before_id = found[-1].id
