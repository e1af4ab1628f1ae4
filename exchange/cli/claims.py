"""`exchange claims list|get|submit|step|steps`: what is claimed, and how issuers decide."""

import click

from exchange.claims.models import ClaimStatus, ClaimView, NewClaim, NewClaimBatch, NewStep, NextStep
from exchange.cli.evidence import PROVING
from exchange.cli.options import json_option, with_client, yes_option
from exchange.cli.output import write_facts, write_json, write_list
from exchange.client import ExchangeClient


@click.group()
def claims() -> None:
    """Claims on what vouchers paid: a provider or a reimbursed company makes them, an issuer decides."""


def _said(step: NextStep) -> str:
    """Return a step that can be taken, in a few words."""
    most = "" if step.amount_max_cny is None else f", at most {step.amount_max_cny} CNY"
    return f"{step.to} by the {' or '.join(step.by)}{most}{', with a reason' if step.needs_reason else ''}"


def show_claim(claim: ClaimView) -> None:
    """Write a claim for people."""
    write_facts(
        [
            ("claim", claim.id),
            ("programme", claim.programme_id),
            ("claimant", f"{claim.claimant_id} ({claim.claimant_name})"),
            ("status", claim.status),
            ("next", "; ".join(map(_said, claim.next_steps)) or None),
            ("amount CNY", claim.amount_cny),
            ("approved CNY", claim.approved_cny),
            ("clawback CNY", claim.clawback_cny),
            ("lines", claim.line_count),
            ("reason", claim.reason or None),
            ("submitted", claim.submitted_at),
            ("decided", claim.decided_at),
            ("paid", claim.paid_at),
        ]
    )


@claims.command("list")
@click.option("--status", help="Only claims of this status, such as in_audit.")
@click.option("--programme", "programme_id", help="Only claims on this programme.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_claims(
    client: ExchangeClient, status: str | None, programme_id: str | None, limit: int, as_json: bool
) -> None:
    """List the claims you made, or as an issuer those made on you."""
    found = [claim async for claim in client.claims(limit=limit, status=status, programme_id=programme_id)]
    write_list(
        found,
        ["claim", "status", "programme", "claimant", "amount CNY", "approved CNY", "submitted"],
        lambda claim: (
            claim.id,
            claim.status,
            claim.programme_id,
            claim.claimant_id,
            claim.amount_cny,
            claim.approved_cny,
            claim.submitted_at,
        ),
        as_json=as_json,
    )


@claims.command("get")
@click.argument("claim_id")
@json_option
@with_client
async def get_claim(client: ExchangeClient, claim_id: str, as_json: bool) -> None:
    """Show one claim."""
    claim = await client.claim(claim_id)
    if as_json:
        write_json(claim)
    else:
        show_claim(claim)


@claims.command("submit")
@click.argument("programme_ids", nargs=-1)
@click.option("--open", "stays_open", is_flag=True, help="Do not submit yet: attach evidence first.")
@json_option
@with_client
async def submit_claims(
    client: ExchangeClient, programme_ids: tuple[str, ...], stays_open: bool, as_json: bool
) -> None:
    """Claim under each of some programmes; without any, under all in which there is something to claim."""
    if len(programme_ids) == 1:
        claim = await client.submit_claim(NewClaim(programme_id=programme_ids[0], submit=not stays_open))
        if as_json:
            write_json(claim)
        else:
            show_claim(claim)
        return
    batch = NewClaimBatch(programme_ids=programme_ids, submit=not stays_open)
    outcomes = (await client.submit_claims(batch)).data
    write_list(
        outcomes,
        ["programme", "claim", "status", "amount CNY", "refused because"],
        lambda each: (
            (each.programme_id, None, None, None, each.detail)
            if each.claim is None
            else (each.programme_id, each.claim.id, each.claim.status, each.claim.amount_cny, None)
        ),
        as_json=as_json,
    )


@claims.command("step")
@click.argument("claim_id")
@click.argument("to", type=click.Choice([status.value for status in ClaimStatus]))
@click.option("--reason", default="", help="Why; every step that does not grant what was asked needs one.")
@click.option("--amount", help="CNY that will be paid (reduced) or is demanded back (clawback_open).")
@yes_option
@json_option
@with_client
async def step_claim(
    client: ExchangeClient,
    claim_id: str,
    to: str,
    reason: str,
    amount: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Take a claim's next step, such as `approved` or `paid`."""
    if not yes:
        click.confirm(f"Bring {claim_id} to {to}?", abort=True, err=True)
    claim = await client.step_claim(claim_id, NewStep(to=ClaimStatus(to), reason=reason, amount_cny=amount))
    if as_json:
        write_json(claim)
    else:
        show_claim(claim)


@claims.command("steps")
@click.argument("claim_id")
@json_option
@with_client
async def list_steps(client: ExchangeClient, claim_id: str, as_json: bool) -> None:
    """Show every step that a claim has taken: who, when and why."""
    steps = [step async for step in client.claim_steps(claim_id, limit=100_000)]
    write_list(
        steps,
        ["step", "from", "to", "by", "amount CNY", "at", "reason"],
        lambda step: (
            step.number,
            step.from_status,
            step.to_status,
            step.actor_role,
            step.amount_cny,
            step.stepped_at,
            step.reason,
        ),
        as_json=as_json,
    )


for command in PROVING:
    claims.add_command(command)
