"""`exchange oversight alerts`: list, show, review, note, close. Needs a key with the scope `audit`."""

import click

from exchange.alerts.models import AlertDetail, AlertStatus, DetectorName, NewClosure, NewNote, NewReview
from exchange.cli.options import json_option, with_client, yes_option
from exchange.cli.output import write_facts, write_json, write_list, write_table
from exchange.client import ExchangeClient


@click.group()
def alerts() -> None:
    """What surveillance found, and the case of each alert."""


@alerts.command("list")
@click.option(
    "--status", type=click.Choice([each.value for each in AlertStatus]), help="Only of this status."
)
@click.option(
    "--detector", type=click.Choice([each.value for each in DetectorName]), help="Only of this one."
)
@click.option("--severity", type=click.Choice(["low", "medium", "high"]), help="Only this grave.")
@click.option("--participant", help="Only where this participant is a party; needs --reason.")
@click.option("--product", help="Only in this product.")
@click.option("--from", "found_from", help="Found at or after this time, RFC 3339.")
@click.option("--to", "found_until", help="Found before this time, RFC 3339.")
@click.option("--reason", help="Why this is asked; needed with --participant.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_alerts(
    client: ExchangeClient,
    status: str | None,
    detector: str | None,
    severity: str | None,
    participant: str | None,
    product: str | None,
    found_from: str | None,
    found_until: str | None,
    reason: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List alerts, newest first."""
    found = [
        alert
        async for alert in client.alerts(
            limit=limit,
            status=status,
            detector=detector,
            severity=severity,
            participant=participant,
            product=product,
            found_from=found_from,
            found_until=found_until,
            reason=reason,
        )
    ]
    write_list(
        found,
        ["alert", "detector", "severity", "status", "found", "product", "parties"],
        lambda alert: (
            alert.id,
            alert.detector,
            alert.severity,
            alert.status,
            alert.found_at,
            alert.product,
            " ".join(alert.participant_ids),
        ),
        as_json=as_json,
    )


def _show(alert: AlertDetail, *, as_json: bool) -> None:
    if as_json:
        write_json(alert)
        return
    write_facts(
        [
            ("alert", alert.id),
            ("detector", f"{alert.detector} (rules version {alert.rules_version})"),
            ("severity", alert.severity),
            ("status", alert.status),
            ("product", alert.product),
            ("programme", alert.programme_id),
            ("parties", " ".join(alert.participant_ids) or None),
            ("groups", " ".join(alert.trade_group_ids) or None),
            ("from", alert.begins_at),
            ("to", alert.ends_at),
            ("found", alert.found_at),
        ]
    )
    click.echo()
    rows = [(each.name, each.value, each.threshold) for each in alert.figures]
    write_table(["figure", "value", "threshold"], rows)
    if alert.records:
        click.echo()
        write_table(
            ["record", "at", "sequence", "participant", "order", "trade"],
            [
                (each.code, each.event_at, each.sequence, each.participant_id, each.order_id, each.trade_id)
                for each in alert.records
            ],
        )
    if alert.steps:
        click.echo()
        write_table(
            ["step", "at", "by", "key", "text"],
            [(each.kind, each.stepped_at, each.actor_id, each.key_id, each.text) for each in alert.steps],
        )


@alerts.command("show")
@click.argument("alert_id")
@json_option
@with_client
async def show_alert(client: ExchangeClient, alert_id: str, as_json: bool) -> None:
    """Show an alert with its figures, the records it rests on, and its case."""
    _show(await client.alert(alert_id), as_json=as_json)


@alerts.command("review")
@click.argument("alert_id")
@click.option("--text", default="", help="Why, or by whom.")
@json_option
@with_client
async def review_alert(client: ExchangeClient, alert_id: str, text: str, as_json: bool) -> None:
    """Take an open alert under review."""
    _show(await client.review_alert(alert_id, NewReview(text=text)), as_json=as_json)


@alerts.command("note")
@click.argument("alert_id")
@click.argument("text")
@json_option
@with_client
async def note_alert(client: ExchangeClient, alert_id: str, text: str, as_json: bool) -> None:
    """Add a note to an alert."""
    _show(await client.note_alert(alert_id, NewNote(text=text)), as_json=as_json)


@alerts.command("close")
@click.argument("alert_id")
@click.option("--reason", required=True, help="What the review came to.")
@yes_option
@json_option
@with_client
async def close_alert(client: ExchangeClient, alert_id: str, reason: str, yes: bool, as_json: bool) -> None:
    """Close an alert that is under review; a closed one stays closed."""
    if not yes:
        click.confirm(f"Close {alert_id} for good?", abort=True, err=True)
    _show(await client.close_alert(alert_id, NewClosure(reason=reason)), as_json=as_json)
