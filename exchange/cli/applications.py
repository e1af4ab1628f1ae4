"""`exchange vouchers apply|may-apply`, `... applications`, and `programmes allocate`."""

import click

from exchange.applications.models import (
    SCORE_MAX,
    AdmissionView,
    ApplicationStatus,
    ApplicationView,
    NewApplication,
    NewApplicationStep,
    NewScore,
)
from exchange.cli.options import json_option, with_client, yes_option
from exchange.cli.output import write_facts, write_json, write_list, write_table
from exchange.client import ExchangeClient


def _show(application: ApplicationView, *, as_json: bool) -> None:
    """Write an application."""
    if as_json:
        write_json(application)
        return
    write_facts(
        [
            ("application", application.id),
            ("programme", f"{application.programme_id} ({application.programme_code})"),
            ("company", f"{application.buyer_id} ({application.buyer_name})"),
            ("status", application.status),
            ("next", "; ".join(f"{each.to} by the {each.by}" for each in application.next_steps) or None),
            ("amount CNY", application.amount_cny),
            ("approved CNY", application.approved_cny),
            ("purpose", application.purpose),
            ("score", application.score),
            ("reason", application.reason or None),
            ("voucher", application.voucher_id),
            ("submitted", application.submitted_at),
            ("decided", application.decided_at),
        ]
    )


def _write_list(found: list[ApplicationView], *, as_json: bool) -> None:
    write_list(
        found,
        ["application", "programme", "company", "status", "amount CNY", "approved CNY", "score", "reason"],
        lambda each: (
            each.id,
            each.programme_code,
            each.buyer_id,
            each.status,
            each.amount_cny,
            each.approved_cny,
            each.score,
            each.reason or None,
        ),
        as_json=as_json,
    )


@click.command("apply")
@click.argument("programme_id", metavar="PROGRAMME")
@click.argument("amount", metavar="AMOUNT")
@click.option("--purpose", required=True, help="What you need the computing for.")
@json_option
@with_client
async def apply(client: ExchangeClient, programme_id: str, amount: str, purpose: str, as_json: bool) -> None:
    """Apply to a programme for a voucher of AMOUNT CNY."""
    new = NewApplication(programme_id=programme_id, amount_cny=amount, purpose=purpose)
    _show(await client.apply(new), as_json=as_json)


def _show_admission(told: AdmissionView, *, as_json: bool) -> None:
    if as_json:
        write_json(told)
        return
    write_facts(
        [
            ("programme", f"{told.programme_id}, version {told.programme_version}"),
            ("admitted", "yes" if told.is_admitted else "no"),
            ("closed because", told.closed_because),
            ("at most CNY", told.amount_max_cny),
            ("at once up to CNY", told.at_once_max_cny),
        ]
    )
    write_table(
        ["rule", "met", "in words"],
        [(each.rule, "yes" if each.holds else "no", each.detail) for each in told.rules],
    )


@click.command("may-apply")
@click.argument("programme_id", metavar="PROGRAMME")
@json_option
@with_client
async def may_apply(client: ExchangeClient, programme_id: str, as_json: bool) -> None:
    """Show whether you may apply to a programme now, for how much, and what each rule says."""
    _show_admission(await client.may_apply(programme_id), as_json=as_json)


@click.group()
def applications() -> None:
    """Applications for vouchers: companies make them, issuers decide."""


@applications.command("list")
@click.option("--status", help="Only applications of this status, such as submitted.")
@click.option("--programme", "programme_id", help="Only applications to this programme.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_applications(
    client: ExchangeClient, status: str | None, programme_id: str | None, limit: int, as_json: bool
) -> None:
    """List your applications, or as an issuer those to your programmes."""
    found = client.applications(limit=limit, status=status, programme_id=programme_id)
    _write_list([each async for each in found], as_json=as_json)


@applications.command("get")
@click.argument("application_id")
@json_option
@with_client
async def get_application(client: ExchangeClient, application_id: str, as_json: bool) -> None:
    """Show one application."""
    _show(await client.application(application_id), as_json=as_json)


@applications.command("eligibility")
@click.argument("application_id")
@json_option
@with_client
async def may_be_granted(client: ExchangeClient, application_id: str, as_json: bool) -> None:
    """Show whether an application could be granted now, of how much, and what each rule says."""
    _show_admission(await client.may_be_granted(application_id), as_json=as_json)


@applications.command("steps")
@click.argument("application_id")
@json_option
@with_client
async def list_steps(client: ExchangeClient, application_id: str, as_json: bool) -> None:
    """Show every step that an application has taken: who, when and why."""
    steps = [step async for step in client.application_steps(application_id, limit=100_000)]
    write_list(
        steps,
        ["step", "from", "to", "by", "key", "amount CNY", "score", "at", "reason"],
        lambda step: (
            step.number,
            step.from_status,
            step.to_status,
            step.actor_role,
            step.key_id,
            step.amount_cny,
            step.score,
            step.stepped_at,
            step.reason,
        ),
        as_json=as_json,
    )


@applications.command("step")
@click.argument("application_id")
@click.argument("to", type=click.Choice(["approved", "rejected", "withdrawn"]))
@click.option("--reason", default="", help="Why; rejecting needs one.")
@click.option("--amount", help="CNY to approve, where it is less than was asked.")
@yes_option
@json_option
@with_client
async def step_application(
    client: ExchangeClient,
    application_id: str,
    to: str,
    reason: str,
    amount: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Approve or reject an application to your programme, or withdraw your own.

    A large amount may need a second key of the issuer: then the first one brings it to in_committee.
    """
    if not yes:
        click.confirm(f"Bring {application_id} to {to}?", abort=True, err=True)
    step = NewApplicationStep(to=to, reason=reason, amount_cny=amount)  # type: ignore[arg-type]  # click has checked it
    stepped = await client.step_application(application_id, step)
    _show(stepped, as_json=as_json)
    if stepped.status is ApplicationStatus.IN_COMMITTEE and not as_json:
        click.echo("A second key of the issuer must approve it too.", err=True)


@applications.command("score")
@click.argument("application_id")
@click.argument("score", type=click.IntRange(0, SCORE_MAX))
@click.option("--reason", required=True, help="Why this score.")
@json_option
@with_client
async def score_application(
    client: ExchangeClient, application_id: str, score: int, reason: str, as_json: bool
) -> None:
    """Give an application a score, where its programme allocates by score."""
    scored = await client.score_application(application_id, NewScore(score=score, reason=reason))
    _show(scored, as_json=as_json)


@click.command("allocate")
@click.argument("programme_id")
@yes_option
@json_option
@with_client
async def allocate(client: ExchangeClient, programme_id: str, yes: bool, as_json: bool) -> None:
    """Grant all scored applications of a programme at once, best score first; reject what does not fit."""
    if not yes:
        click.confirm(f"Decide all scored applications of {programme_id}?", abort=True, err=True)
    allocation = await client.allocate(programme_id)
    if as_json:
        write_json(allocation)
        return
    _write_list(allocation.data, as_json=False)
    click.echo(f"approved {allocation.approved_cny} CNY, {allocation.unissued_cny} CNY of the budget is left")
