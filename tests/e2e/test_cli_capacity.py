"""Goal: from a terminal a file of capacity is previewed, listed all or in part, mended and sent again.

Method: as in `test_cli`: a served exchange in a process of its own, commands with their real arguments.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.kit.clock import hour_of, wall_now_us
from exchange.kit.fields import format_hour
from tests.benchmarks.venue import PRODUCT, Venue

HEAD = "client_order_id,product,quantity_gpus,starts_at,ends_at,price_cny_per_gpu_hour\n"


def sell(venue: Venue, *arguments: str | Path, answers: str | None = None) -> Result:
    variables = {"EXCHANGE_URL": venue.url, "EXCHANGE_KEY": venue.provider_key, "DATABASE_URL": None}
    return CliRunner().invoke(cli, ["sell", *map(str, arguments)], env=variables, input=answers)


def line(name: str, gpus: object = 2) -> str:
    hour = hour_of(wall_now_us()) + 400
    return f"{name},{PRODUCT},{gpus},{format_hour(hour)},{format_hour(hour + 5)},4.00\n"


def as_json(result: Result) -> Any:
    assert result.exit_code == ExitCode.DONE, result.output
    return json.loads(result.stdout)


def test_a_file_is_previewed_then_listed(venue: Venue, tmp_path: Path) -> None:
    file = tmp_path / "capacity.csv"
    file.write_text(HEAD + line("one") + line("two"))
    seen = as_json(sell(venue, "--file", file, "--preview", "--json"))
    assert (seen["preview"], seen["placed"], seen["gpu_hours"]) == (True, 2, 20)
    asked = sell(venue, "--file", file, answers="n\n")
    assert asked.exit_code == ExitCode.INTERRUPTED
    assert "List 2 asks, 20 GPU-hours?" in asked.stderr
    assert as_json(sell(venue, "--file", file, "--preview", "--json"))["placed"] == 2
    told = sell(venue, "--file", file, answers="y\n")
    assert told.exit_code == ExitCode.DONE, told.output
    assert as_json(sell(venue, "--file", file, "-y", "--json"))["replayed"] == 2


def test_bad_lines_are_named_and_the_mended_file_lists_the_rest(venue: Venue, tmp_path: Path) -> None:
    file = tmp_path / "capacity.csv"
    file.write_text(HEAD + line("three") + line("four", 0))
    refused = sell(venue, "--file", file, "-y")
    assert refused.exit_code == ExitCode.REFUSED
    assert "/lines/3/quantity_gpus" in refused.stderr
    looked = sell(venue, "--file", file)
    assert looked.exit_code == ExitCode.REFUSED
    assert "line 3 /quantity_gpus" in looked.stderr
    part = sell(venue, "--file", file, "--partial", "-y")
    assert part.exit_code == ExitCode.REFUSED
    assert "1 of 2 lines were refused; the other 1 stand" in part.stderr
    file.write_text(HEAD + line("three") + line("four"))
    told = as_json(sell(venue, "--file", file, "-y", "--json"))
    assert (told["placed"], told["replayed"], told["refused"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (PRODUCT, "2"),
        (PRODUCT, "2", "--for", "2h", "--price", "9", "--file", "{file}.csv"),
        ("--file", "{file}.xlsx"),
    ],
)
def test_wrong_use_is_told(venue: Venue, arguments: tuple[str, ...], tmp_path: Path) -> None:
    for suffix in ("csv", "xlsx"):
        (tmp_path / f"capacity.{suffix}").write_text(HEAD)
    named = [each.format(file=tmp_path / "capacity") for each in arguments]
    assert sell(venue, *named, "-y").exit_code == ExitCode.USAGE
