"""`exchange oversight backtest`: rules from a file over the stored record; stores nothing."""

from pathlib import Path

import click

from exchange.alerts.backtest import BacktestResult
from exchange.alerts.backtest import backtest as run_backtest
from exchange.alerts.thresholds import AlertRules
from exchange.cli.bars import CountBar
from exchange.cli.database import transaction
from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import MOMENT, database_options, json_option, run
from exchange.cli.output import write_json, write_table
from exchange.kit.errors import Refusal
from exchange.kit.http_decode import decode


@click.command("backtest")
@click.argument("rules_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="RULES")
@click.option(
    "--from", "from_us", type=MOMENT, help="Alerts at or after this venue time, RFC 3339; from the beginning."
)
@click.option("--to", "until_us", type=MOMENT, help="Alerts before this venue time, RFC 3339; to the end.")
@database_options
@json_option
@run
async def backtest(
    rules_file: Path,
    from_us: int | None,
    until_us: int | None,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Tell what the rules in a JSON file would have found in the record.

    The file has the thresholds of every detector, as a version of the rules has them
    (GET /v1/oversight/alert-rules shows those in force). Locks nothing and stores nothing: it may run while
    the exchange trades.
    """
    rules = _read_rules(rules_file)
    with CountBar("backtest", "records") as bar:
        async with transaction(database_url, data_dir, "repeatable_read") as connection:
            result = await run_backtest(connection, rules, from_us, until_us, bar.show)
    if as_json:
        write_json(result)
    else:
        _write(result)


def _write(result: BacktestResult) -> None:
    write_table(
        ["detector", "alerts", "per 10,000 orders", "participants"],
        [
            (
                each.detector,
                each.alerts if each.enabled else "off",
                each.alerts_per_10000_orders,
                each.participants,
            )
            for each in result.detectors
        ],
    )
    click.echo(f"{result.orders} orders, {result.records} records")


def _read_rules(path: Path) -> AlertRules:
    try:
        return decode(path.read_bytes(), AlertRules)
    except OSError as error:
        raise CommandFailure(f"{path}: {error.strerror}", ExitCode.USAGE) from error
    except Refusal as refusal:
        told = [f"{each.pointer} {each.detail}" for each in refusal.errors] or [refusal.detail]
        raise CommandFailure("\n".join(f"{path}: {each}" for each in told), ExitCode.USAGE) from refusal
