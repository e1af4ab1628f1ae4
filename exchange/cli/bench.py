"""`exchange bench`: runs the benchmarks of this checkout; standard output is JSON lines only."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from exchange.cli.failures import CommandFailure, ExitCode

CHECKOUT: Final = Path(__file__).resolve().parents[2]


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "list_only", is_flag=True, help="Write the names and run nothing.")
def bench(names: tuple[str, ...], list_only: bool) -> None:
    """Run the benchmarks NAMES, all of them by default; a name may be a prefix such as http."""
    if not (CHECKOUT / "tests" / "benchmarks" / "runner.py").exists():
        raise CommandFailure("the benchmarks are part of a checkout, and this is none", ExitCode.USAGE)
    arguments = ["--list"] if list_only else []
    # A process of its own: it sets its affinity and starts children, and holds nothing of the command line.
    finished = subprocess.run(  # noqa: S603  (our own module; the names are checked there)
        [sys.executable, "-m", "tests.benchmarks.runner", *arguments, *names],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        check=False,
    )
    if finished.returncode:
        raise click.exceptions.Exit(finished.returncode)
