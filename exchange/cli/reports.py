"""What a regulator reads at a terminal: reports, books as they stood, lives, and questions to the record.

`recompute` works on the database itself.
"""

from pathlib import Path
from typing import Any, Final

import click
import msgspec

from exchange.cli.bars import ShareBar
from exchange.cli.database import transaction
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import database_options, json_option, run, with_client
from exchange.cli.output import write_facts, write_json, write_list, write_table
from exchange.client import ExchangeClient
from exchange.oversight.report_models import Period, ReportName
from exchange.oversight.summaries import recompute

LIVES: Final = {"ord": "orders", "trd": "trades", "vch": "vouchers"}

reason_option = click.option("--reason", help="Why you ask; it goes to the record.")


@click.command("report")
@click.argument("name", type=click.Choice([name.value for name in ReportName]))
@click.option("--from", "since", metavar="DAY", help="First day, as 2026-11-23; by default 30 days ago.")
@click.option("--until", metavar="DAY", help="The day after the last one; by default tomorrow.")
@click.option("--by", type=click.Choice([each.value for each in Period]), default="day", show_default=True)
@reason_option
@json_option
@with_client
async def report_command(
    client: ExchangeClient,
    name: str,
    since: str | None,
    until: str | None,
    by: str,
    reason: str | None,
    as_json: bool,
) -> None:
    """Read a report, with its definition."""
    report = await client.oversight.report(name, since=since, until=until, by=by, reason=reason)
    if as_json:
        write_json(report)
        return
    click.echo(f"{report.title}, {report.from_day} until before {report.until_day}\n{report.definition}\n")
    columns = [column.name for column in report.columns]
    write_table(columns, ([row[column] for column in columns] for row in report.rows))


@click.command("book")
@click.argument("product")
@click.option("--at", help="As it stood at this time, RFC 3339.")
@click.option("--sequence", type=click.IntRange(0), help="As it stood after this command.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@reason_option
@json_option
@with_client
async def book_command(
    client: ExchangeClient,
    product: str,
    at: str | None,
    sequence: int | None,
    limit: int,
    reason: str | None,
    as_json: bool,
) -> None:
    """Read the book of a product as it stood, with whose the orders were; now by default."""
    book = await client.oversight.book(product, at=at, sequence=sequence, limit=limit, reason=reason)
    if as_json:
        write_json(book)
        return
    click.echo(
        f"{book.product} after command {book.sequence} of partition {book.partition}, {book.sequence_at}"
    )
    write_table(
        ["side", "price", "GPUs left", "from", "to", "owner", "order"],
        (
            (
                each.side,
                each.price_cny_per_gpu_hour,
                each.remaining_gpus,
                each.starts_at,
                each.ends_at,
                each.participant_name,
                each.order_id,
            )
            for each in book.data
        ),
    )


@click.command("life")
@click.argument("thing")
@click.option("--reason", required=True, help="Why you ask; it goes to the record.")
@json_option
@with_client
async def life_command(client: ExchangeClient, thing: str, reason: str, as_json: bool) -> None:
    """Read everything that became of an order, a trade or a voucher, by its id."""
    kind = LIVES.get(thing.partition("_")[0])
    if kind is None:
        raise CommandFailure("an order (ord_), a trade (trd_) or a voucher (vch_) has a life", ExitCode.USAGE)
    life: dict[str, Any] = await client.oversight.life(kind, thing, reason=reason)
    if as_json:
        write_json(life)
        return
    what = next(iter(life.values()))
    write_facts((name, value) for name, value in what.items() if not isinstance(value, dict | list))
    click.echo("")
    steps = life["steps"]
    names = [name for name in (steps[0] if steps else {}) if name != "detail"]
    write_table(names, ([step[name] for name in names] for step in steps))


@click.command("questions")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@with_client
async def questions_command(client: ExchangeClient, limit: int, as_json: bool) -> None:
    """List who asked the record what, and why, newest first; for regulators and the operator."""
    found = [each async for each in client.oversight.questions(limit=limit)]
    write_list(
        found,
        ["at", "who", "what", "why", "rows", "whole", "asked"],
        lambda each: (
            each.asked_at,
            each.participant_name,
            each.query,
            each.reason,
            each.rows,
            each.is_whole,
            bytes(each.asked).decode(),
        ),
        as_json=as_json,
    )


@click.command("recompute")
@click.option("--repair", is_flag=True, help="Keep what was recomputed.")
@database_options
@json_option
@run
async def recompute_command(
    database_url: str | None, data_dir: Path | None, repair: bool, as_json: bool
) -> None:
    """Sum the whole record up anew and compare it with the summaries that reports are made of.

    Holds the summaries still while it runs, and nothing else. Exit code 5 where anything differs.
    """
    with ShareBar("recompute") as bar:
        async with transaction(database_url, data_dir) as connection:
            found = await recompute(connection, bar.show, is_kept=repair)
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for each in found:
            said = f"{each.column} is {each.stored}, the record says {each.recomputed}"
            click.echo(f"{each.summary} of {each.of}: {said}")
        kept = ", put right" if found and repair else ""
        click.echo(f"{len(found)} sums differ{kept}" if found else "the summaries are what the record says")
    if found:
        raise click.exceptions.Exit(ExitCode.CHECK_FAILED)
