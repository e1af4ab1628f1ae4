"""The claim tables: one typed function for each named query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.claims.models import (
    ID_MAX,
    ActorRole,
    Claim,
    ClaimStatus,
    ClaimTerms,
    Draw,
    Evidence,
    Line,
    Opened,
    Step,
)
from exchange.claims.statement_models import ClaimThen, Movement
from exchange.kit.database import from_us, to_us
from exchange.kit.queries import load_queries
from exchange.ledger.models import TransferReason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from exchange.kit.database import Connection, Record

QUERIES = load_queries("exchange.claims")
BEFORE_ANY: Final = (0, 0, 0)
"""Where the list of a claim's lines begins."""


def _us(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)


def _at(at_us: int | None) -> datetime | None:
    return None if at_us is None else from_us(at_us)


def _claim(row: Record) -> Claim:
    draw = None
    if row["seed"] is not None:
        draw = Draw(sample_bps=row["sample_bps"], seed=row["seed"], number=row["drawn_number"])
    return Claim(
        id=row["id"],
        programme_id=row["programme_id"],
        programme_version=row["programme_version"],
        asset=row["asset"],
        issuer_id=row["issuer_id"],
        claimant_id=row["claimant_id"],
        claimant_name=row["claimant_name"],
        claimant_kind=row["claimant_kind"],
        amount_fen=row["amount_fen"],
        approved_fen=row["approved_fen"],
        clawback_fen=row["clawback_fen"],
        status=ClaimStatus(row["status"]),
        step_count=row["step_count"],
        reason=row["reason"],
        line_count=row["line_count"],
        draw=draw,
        opened_at_us=to_us(row["opened_at"]),
        submitted_at_us=_us(row["submitted_at"]),
        decided_at_us=_us(row["decided_at"]),
        paid_at_us=_us(row["paid_at"]),
    )


async def lock_claimant(connection: Connection, claimant_id: int) -> None:
    """Let nobody else open a claim of this claimant's until the transaction ends."""
    await connection.execute(QUERIES.lock_claimant, claimant_id)


async def lock_receivables(connection: Connection, claimant_id: int, assets: Sequence[str]) -> None:
    """Lock a claimant's receivable accounts of some assets, in order of ids."""
    await connection.execute(QUERIES.lock_receivables, claimant_id, list(assets))


async def open_claim(
    connection: Connection,
    claim_id: int,
    programme_id: int,
    programme_version: int,
    claimant_id: int,
    now_us: int,
) -> Opened:
    """Claim all that is captured, unclaimed and does not wait; `lock_claimant` must go before."""
    row = await connection.fetchrow(
        QUERIES.open_claim,
        claim_id,
        programme_id,
        programme_version,
        claimant_id,
        from_us(now_us),
    )
    if row is None:
        raise AssertionError("a sum without groups is one row")
    return Opened(**dict(row))


async def claimable_programmes(connection: Connection, claimant_id: int, limit: int) -> list[int]:
    """Return the programmes under which something captured and not claimed is a claimant's."""
    rows = await connection.fetch(QUERIES.claimable_programmes, claimant_id, limit)
    return [row["programme_id"] for row in rows]


async def lock_claim(connection: Connection, claim_id: int) -> Claim | None:
    """One claim, locked."""
    row = await connection.fetchrow(QUERIES.lock_claim, claim_id)
    return None if row is None else _claim(row)


async def claim_terms(connection: Connection, programme_id: int, version: int) -> ClaimTerms:
    """Return what a version of a programme's rules says of claims."""
    row = await connection.fetchrow(QUERIES.claim_terms, programme_id, version)
    if row is None:
        raise AssertionError("a claim names a version of its programme that is there")
    return ClaimTerms(row["audit_sample_bps"], tuple(row["evidence"]))


async def insert_step(connection: Connection, claim_id: int, step: Step) -> None:
    """Store a step; `save_claim` must follow."""
    await connection.execute(
        QUERIES.insert_step,
        claim_id,
        step.number,
        step.from_status.value,
        step.to_status.value,
        step.actor_role.value,
        step.actor_id,
        step.amount_fen,
        step.reason,
        from_us(step.stepped_at_us),
    )


async def save_claim(connection: Connection, claim: Claim) -> None:
    """Store a claim as it stands after the step that was just stored."""
    await connection.execute(
        QUERIES.save_claim,
        claim.id,
        claim.status.value,
        claim.step_count,
        claim.reason,
        claim.approved_fen,
        claim.clawback_fen,
        _at(claim.submitted_at_us),
        _at(claim.decided_at_us),
        _at(claim.paid_at_us),
    )


async def insert_draw(connection: Connection, claim_id: int, draw: Draw, now_us: int) -> None:
    """Store the draw of a claim; a second one breaks the database's rule."""
    await connection.execute(
        QUERIES.insert_draw, claim_id, draw.sample_bps, draw.seed, draw.number, from_us(now_us)
    )


async def free_captures(connection: Connection, claim_id: int) -> None:
    """Let the lines of a claim be claimed again."""
    await connection.execute(QUERIES.free_captures, claim_id)


def _columns(lines: Sequence[Line], parts_fen: Sequence[int]) -> tuple[list[int], ...]:
    return (
        [line.lease_id for line in lines],
        [line.delivery_hour for line in lines],
        [line.voucher_id for line in lines],
        list(parts_fen),
    )


async def reduce_lines(
    connection: Connection, claim_id: int, lines: Sequence[Line], parts_fen: Sequence[int]
) -> None:
    """Store what a reduction cuts of each line."""
    await connection.execute(QUERIES.reduce_lines, claim_id, *_columns(lines, parts_fen))


async def recover_lines(
    connection: Connection, claim_id: int, lines: Sequence[Line], parts_fen: Sequence[int]
) -> None:
    """Store what of each line was paid back."""
    await connection.execute(QUERIES.recover_lines, claim_id, *_columns(lines, parts_fen))


async def page_of_claims(
    connection: Connection,
    *,
    before_id: int = ID_MAX,
    claimant_id: int | None = None,
    issuer_id: int | None = None,
    programme_id: int | None = None,
    status: ClaimStatus | None = None,
    claim_id: int | None = None,
    limit: int,
) -> list[Claim]:
    """Claims opened before one, newest first; None restricts nothing."""
    rows = await connection.fetch(
        QUERIES.page_of_claims,
        before_id,
        claimant_id,
        issuer_id,
        programme_id,
        None if status is None else status.value,
        claim_id,
        limit,
    )
    return [_claim(row) for row in rows]


async def page_of_lines(
    connection: Connection,
    claim_id: int,
    after: tuple[int, int, int] = BEFORE_ANY,
    limit: int | None = None,
) -> list[Line]:
    """Return the lines of a claim after (lease id, delivery hour, voucher id); without a limit, all."""
    rows = await connection.fetch(QUERIES.page_of_lines, claim_id, *after, limit)
    return [Line(**dict(row)) for row in rows]


async def runs_of_claim(connection: Connection, claim_id: int) -> list[tuple[int, int, int, int]]:
    """Return a claim's lines in runs: (lease id, voucher id, first hour, the one after the last)."""
    return [tuple(row.values()) for row in await connection.fetch(QUERIES.runs_of_claim, claim_id)]


async def steps_of_claim(connection: Connection, claim_id: int, after: int, limit: int) -> list[Step]:
    """Return the steps of a claim after a number, in order."""
    return [
        Step(
            number=row["number"],
            from_status=ClaimStatus(row["from_status"]),
            to_status=ClaimStatus(row["to_status"]),
            actor_role=ActorRole(row["actor_role"]),
            actor_id=row["actor_id"],
            amount_fen=row["amount_fen"],
            reason=row["reason"],
            stepped_at_us=to_us(row["stepped_at"]),
        )
        for row in await connection.fetch(QUERIES.steps_of_claim, claim_id, after, limit)
    ]


def _evidence(row: Record) -> Evidence:
    return Evidence(
        id=row["id"],
        claim_id=row["claim_id"],
        name=row["name"],
        content_type=row["content_type"],
        size_bytes=row["size_bytes"],
        sha256=row["sha256"],
        attached_by_id=row["attached_by"],
        attached_at_us=to_us(row["attached_at"]),
        content=row.get("content"),
    )


async def insert_evidence(connection: Connection, evidence: Evidence) -> None:
    """Store a file of a claim."""
    await connection.execute(
        QUERIES.insert_evidence,
        evidence.id,
        evidence.claim_id,
        evidence.name,
        evidence.content_type,
        evidence.size_bytes,
        evidence.sha256,
        evidence.content,
        evidence.attached_by_id,
        from_us(evidence.attached_at_us),
    )


async def evidence_of_claim(connection: Connection, claim_id: int) -> list[Evidence]:
    """Return what is attached to a claim, oldest first, without the bytes."""
    return [_evidence(row) for row in await connection.fetch(QUERIES.evidence_of_claim, claim_id)]


async def evidence_content(connection: Connection, claim_id: int, evidence_id: int) -> Evidence | None:
    """Return one file of a claim, with its bytes."""
    row = await connection.fetchrow(QUERIES.evidence_content, claim_id, evidence_id)
    return None if row is None else _evidence(row)


async def movements_as_of(
    connection: Connection,
    as_of_us: int,
    *,
    issuer_id: int | None,
    claimant_id: int | None,
    programme_id: int | None,
) -> list[Movement]:
    """Return what moved in programmes up to a moment; of a claimant: in those it has a receivable of."""
    rows = await connection.fetch(
        QUERIES.movements_as_of, from_us(as_of_us), issuer_id, programme_id, claimant_id
    )
    return [
        Movement(
            programme_id=row["programme_id"],
            programme_code=row["code"],
            claimant_id=row["claimant_id"],
            reason=TransferReason(row["reason"]),
            amount_fen=row["amount_fen"],
        )
        for row in rows
    ]


async def moved_between(
    connection: Connection, moments_us: Sequence[int], *, issuer_id: int | None, programme_id: int | None
) -> dict[tuple[int, TransferReason], int]:
    """Return what moved by (index of the first of some moments in order that was not before it, reason)."""
    moments = [from_us(each) for each in moments_us]
    rows = await connection.fetch(QUERIES.moved_between, moments, issuer_id, programme_id)
    return {(row["moment"], TransferReason(row["reason"])): row["amount_fen"] for row in rows}


async def claims_as_of(
    connection: Connection,
    as_of_us: int,
    *,
    before_id: int,
    claimant_id: int | None,
    issuer_id: int | None,
    programme_id: int | None,
    limit: int,
) -> list[ClaimThen]:
    """Return claims as they stood at a moment, newest first, opened before one; None restricts nothing."""
    rows = await connection.fetch(
        QUERIES.claims_as_of, from_us(as_of_us), before_id, claimant_id, issuer_id, programme_id, limit
    )
    return [
        ClaimThen(
            id=row["id"],
            programme_id=row["programme_id"],
            claimant_id=row["claimant_id"],
            amount_fen=row["amount_fen"],
            status=ClaimStatus(row["status"]),
            step_fen=row["step_fen"],
            reason=row["reason"],
            opened_at_us=to_us(row["opened_at"]),
            stepped_at_us=to_us(row["stepped_at"]),
        )
        for row in rows
    ]
