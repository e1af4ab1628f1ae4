"""`exchange vouchers buyers|get|issue|step|steps`: one voucher, from its issue to its end."""

import click

from exchange.cli.options import json_option, with_client, yes_option
from exchange.cli.output import write_facts, write_json, write_list
from exchange.client import ExchangeClient
from exchange.vouchers.models import NewVoucher, NewVoucherStep, VoucherView

_PARTS = (
    *("available", "held", "committed", "captured", "claimed", "paid", "reduced", "recovered"),
    *("expired", "revoked"),
)


def _show(voucher: VoucherView, *, as_json: bool) -> None:
    """Write a voucher with where its face is now."""
    if as_json:
        write_json(voucher)
        return
    parts = [(f"{name} CNY", getattr(voucher, f"{name}_cny")) for name in _PARTS]
    write_facts(
        [
            ("voucher", voucher.id),
            ("programme", f"{voucher.programme_id} ({voucher.programme_code})"),
            ("company", voucher.buyer_id),
            ("status", voucher.status),
            ("face CNY", voucher.face_cny),
            *((name, fen) for name, fen in parts if fen != "0.00"),
            ("issued", voucher.issued_at),
            ("expires", voucher.expires_at),
        ]
    )


@click.command("get")
@click.argument("voucher_id", metavar="VOUCHER")
@json_option
@with_client
async def get_voucher(client: ExchangeClient, voucher_id: str, as_json: bool) -> None:
    """Show one voucher, and where its face is now."""
    _show(await client.voucher(voucher_id), as_json=as_json)


@click.command("buyers")
@click.argument("search", metavar="SEARCH")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@with_client
async def find_buyers(client: ExchangeClient, search: str, limit: int, as_json: bool) -> None:
    """Find, as an issuer, companies to issue to: SEARCH is a part of their name, or an id."""
    write_list(
        [buyer async for buyer in client.find_buyers(search, limit=limit)],
        ["company", "name", "region", "size", "start-up"],
        lambda each: (
            each.id,
            each.name,
            each.region,
            each.size_class,
            "yes" if each.is_startup else "no",
        ),
        as_json=as_json,
    )


@click.command("issue")
@click.argument("programme_id", metavar="PROGRAMME")
@click.argument("buyer_id", metavar="COMPANY")
@click.argument("amount", metavar="AMOUNT")
@json_option
@with_client
async def issue_voucher(
    client: ExchangeClient, programme_id: str, buyer_id: str, amount: str, as_json: bool
) -> None:
    """Issue a voucher of AMOUNT CNY of your programme to a company, without an application."""
    new = NewVoucher(programme_id=programme_id, buyer_id=buyer_id, amount_cny=amount)
    _show(await client.issue_voucher(new), as_json=as_json)


@click.command("step")
@click.argument("voucher_id", metavar="VOUCHER")
@click.argument("to", type=click.Choice(["suspended", "active", "revoked"]))
@click.option("--reason", required=True, help="Why, for the company to read.")
@yes_option
@json_option
@with_client
async def step_voucher(
    client: ExchangeClient, voucher_id: str, to: str, reason: str, yes: bool, as_json: bool
) -> None:
    """Suspend a voucher of your programme, resume it (active), or revoke it for good."""
    if not yes:
        click.confirm(f"Bring {voucher_id} to {to}?", abort=True, err=True)
    step = NewVoucherStep(to=to, reason=reason)  # type: ignore[arg-type]  # click has checked it
    _show(await client.step_voucher(voucher_id, step), as_json=as_json)


@click.command("steps")
@click.argument("voucher_id", metavar="VOUCHER", required=False)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def list_steps(client: ExchangeClient, voucher_id: str | None, limit: int, as_json: bool) -> None:
    """Show what became of a voucher, in order; without one, of all your vouchers, newest first."""
    steps = (
        client.voucher_steps(limit=limit)
        if voucher_id is None
        else client.steps_of_voucher(voucher_id, limit=limit)
    )
    write_list(
        [step async for step in steps],
        ["at", "voucher", "step", "from", "to", "by", "to issuer CNY", "reason"],
        lambda step: (
            step.stepped_at,
            step.voucher_id,
            step.number,
            step.from_status,
            step.to_status,
            step.actor_role,
            step.returned_cny,
            step.reason,
        ),
        as_json=as_json,
    )


ISSUING = (find_buyers, get_voucher, issue_voucher, step_voucher, list_steps)
"""The commands of this module, for the group they belong to."""
