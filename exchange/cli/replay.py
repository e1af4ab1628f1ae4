"""`exchange replay`: a recorded trace as real orders, with a report and its two checks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from exchange.cli.failures import CommandFailure, ExitCode
from exchange.cli.options import database_options, json_option, run_to_end
from exchange.cli.output import write_json
from exchange.cli.replay_report import write_report
from exchange.cli.times import TimeFaultError, parse_moment
from exchange.kit.settings import Settings
from exchange.replay.lines import FileFaultError
from exchange.replay.models import LineFault, ReplayError
from exchange.replay.session import GPUS_DEFAULT, HOURS_DEFAULT, SEED, ReplayRequest, Session
from exchange.replay.trace import SECONDS_ORIGIN_US

FAULTS_SHOWN_MAX: Final = 20
DATA_DIR_DEFAULT: Final = Path("var/replay")
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"max_content_width": 110})
@click.option("--bids", type=FILE, required=True, help="Demand, CSV or CSV.gz.")
@click.option("--offers", type=FILE, required=True, help="Supply: nodes, CSV or CSV.gz.")
@click.option("--quotes", type=FILE, required=True, help="Prices to draw from, CSV or CSV.gz.")
@click.option("--hours", type=click.IntRange(1, 2159), default=HOURS_DEFAULT, show_default=True)
@click.option("--from", "since", help="Where to begin: a date, a time, or 10730000s for a trace in seconds.")
@click.option(
    "--gpus", type=click.IntRange(1), default=GPUS_DEFAULT, show_default=True, help="Supply, about."
)
@click.option("--seed", type=click.IntRange(0), default=SEED, show_default=True)
@click.option("--speed", default="max", show_default=True, help="max, or trace hours a second.")
@click.option(
    "--acknowledged", type=click.Path(dir_okay=False, path_type=Path), help="Append every answer here."
)
@database_options
@json_option
def replay(
    bids: Path,
    offers: Path,
    quotes: Path,
    hours: int,
    since: str | None,
    gpus: int,
    seed: int,
    speed: str,
    acknowledged: Path | None,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Place a recorded trace as real orders, in time order, and report.

    The venue's clock is driven by the trace. Started again on the same data, a replay that was stopped goes
    on where it was. It needs data of its own: an empty database, or a folder (var/replay).

    \b
    --bids    order_id, submitted_at (RFC 3339) or submitted_s (seconds), buyer, gpus, hours;
              optional gpu_model (A|B: any of them; empty: drawn from the supply), gpu_milli
              (below 1000: a part of a GPU, refused and counted), interruptible (0 or 1)
    --offers  offer_id, provider, gpu_model, gpus
    --quotes  gpu_model, ask_usd_gpu_h

    A line that breaks a rule is told by number and field, counted, and left out. Prices are joined by a rule
    that the report states, because no public trace holds bids with limit prices.
    """
    settings = Settings.from_environment(os.environ)
    request = ReplayRequest(
        bids=bids,
        offers=offers,
        quotes=quotes,
        settings=msgspec.structs.replace(
            settings, database_url=database_url, data_dir=data_dir or DATA_DIR_DEFAULT, seconds_per_hour=None
        ),
        hours=hours,
        from_us=_from_us(since),
        gpus=gpus,
        seed=seed,
        hours_per_second=_hours_per_second(speed),
    )
    faults = _Faults()
    try:
        with _appended(acknowledged) as descriptor, _Bar(hours) as bar:
            request = msgspec.structs.replace(request, acknowledged=descriptor)
            report = run_to_end(Session(request, fault=faults.show, progress=bar.advance).run())
    except (ReplayError, FileFaultError) as error:
        raise CommandFailure(str(error), ExitCode.USAGE) from error
    faults.show_rest()
    if as_json:
        write_json(report)
    else:
        write_report(report)
    if not report.is_exact:
        raise CommandFailure("a check of the replay is not exact", ExitCode.CHECK_FAILED)


class _Faults:
    """Shows the first broken lines and counts the others."""

    def __init__(self) -> None:
        self._count = 0

    def show(self, fault: LineFault) -> None:
        """Write one fault to standard error."""
        self._count += 1
        if self._count <= FAULTS_SHOWN_MAX:
            click.echo(f"left out {fault}", err=True)

    def show_rest(self) -> None:
        """Say how many were not shown."""
        if self._count > FAULTS_SHOWN_MAX:
            click.echo(f"left out {self._count - FAULTS_SHOWN_MAX} more broken lines", err=True)


class _Bar:
    """A progress bar over the hours of the replay, on standard error."""

    def __init__(self, hours: int) -> None:
        self._progress = Progress(
            TextColumn("replay"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} hours, {task.fields[orders]} orders"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=hours, orders=0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def advance(self, passed: int, hours: int, orders: int) -> None:
        """Show how many of the replay's hours have passed."""
        self._progress.update(self._task, completed=passed, total=hours, orders=orders)


@contextmanager
def _appended(path: Path | None) -> Iterator[int | None]:
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CommandFailure(f"{path} cannot be written: {error.strerror}", ExitCode.USAGE) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _from_us(since: str | None) -> int | None:
    if since is None:
        return None
    seconds = since.removesuffix("s")
    if since.endswith("s") and seconds.isascii() and seconds.isdigit():
        return SECONDS_ORIGIN_US + int(seconds[:12]) * 1_000_000
    try:
        return parse_moment(since)
    except TimeFaultError as fault:
        raise click.BadParameter(str(fault), param_hint="--from") from fault


def _hours_per_second(speed: str) -> float | None:
    if speed == "max":
        return None
    try:
        hours = float(speed)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= 1e6:  # noqa: PLR2004
        raise click.BadParameter("write max, or trace hours a second such as 10", param_hint="--speed")
    return hours
