"""Allocation by score: all scored applications of a programme decided at once, best score first.

One transaction, under the lock of the programme and then of the applications in order of ids: of two
allocations at once the second finds nothing left to decide.

Known limits: all of it is one answer, and the standing of each company is read in a statement of its own;
issuing and the steps are a few statements for any number.
"""

from collections.abc import Sequence

from exchange.applications import store
from exchange.applications.models import Allocation, ApplicantRole, Application, ApplicationStatus, Decision
from exchange.applications.rules import allocate, open_window, total_fen
from exchange.applications.service import record_steps, stepped_to
from exchange.kit import own_reasons
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict
from exchange.participants.service import participants_by_ids
from exchange.programmes.models import Programme
from exchange.programmes.steps import lock_own_programme
from exchange.vouchers.issue_rules import closed_objections, in_words, refuse_if_any
from exchange.vouchers.service import company_standings, issue_vouchers

_S = ApplicationStatus


async def allocate_by_score(
    connection: Connection, principal: Principal, programme_id: int, now_us: int
) -> Allocation:
    """Decide every scored application of a programme that waits, by `rules.allocate`.

    Raises `NotFound`, `Forbidden` for anyone but the programme's issuer, `Conflict`: state_conflict where it
    does not allocate by score, window_open, programme_not_open.
    """
    programme = await lock_own_programme(
        connection, principal, programme_id, now_us, "allocates its vouchers"
    )
    if programme.rules.allocation != "scored":
        raise Conflict(detail="the programme does not allocate by score")
    refuse_if_any(list(closed_objections(programme, now_us)))
    if open_window(programme.rules, now_us):
        raise Conflict("window_open", "a window for applications is open: allocate when it has closed")
    waiting = await store.lock_scored_applications(connection, programme_id)
    buyer_ids = sorted({each.buyer_id for each in waiting})
    companies = await participants_by_ids(connection, buyer_ids)
    stands = await company_standings(connection, {programme_id: programme.rules}, buyer_ids, now_us)
    standings = {buyer_id: stands[programme_id, buyer_id] for buyer_id in buyer_ids}
    decisions = allocate(programme, waiting, companies, standings, now_us)
    applications = await _carry_out(connection, principal, programme, decisions, now_us)
    approved_fen = total_fen(decisions)
    return Allocation(
        programme_id=programme_id,
        approved_fen=approved_fen,
        unissued_fen=programme.budget_fen - programme.issued_fen - approved_fen,
        applications=tuple(applications),
    )


async def _carry_out(
    connection: Connection,
    principal: Principal,
    programme: Programme,
    decisions: Sequence[Decision],
    now_us: int,
) -> list[Application]:
    """Issue what an allocation grants, take the step of each application, and return them after it."""
    granted = [each.application for each in decisions if not each.objections]
    grants = [(each.buyer_id, each.amount_fen) for each in granted]
    vouchers = await issue_vouchers(connection, principal, programme, grants, now_us)
    voucher_ids = {each.id: voucher.id for each, voucher in zip(granted, vouchers, strict=True)}
    stepped = [
        stepped_to(each.application, _S.REJECTED, in_words(each.objections), now_us)
        if each.objections
        else stepped_to(
            each.application,
            _S.APPROVED,
            own_reasons.text("granted_by_score", score=each.application.score),
            now_us,
            approved_fen=each.application.amount_fen,
            voucher_id=voucher_ids[each.application.id],
        )
        for each in decisions
    ]
    pairs = [(each.application, after) for each, after in zip(decisions, stepped, strict=True)]
    await record_steps(connection, principal, ApplicantRole.ISSUER, pairs, now_us)
    return stepped
