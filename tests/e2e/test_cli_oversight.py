"""Goal: a regulator reads reports, books, lives and questions at a terminal. Method: as in test_cli."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from exchange.oversight.report_models import ReportName
from tests.benchmarks.venue import PRODUCT, Venue


def call(venue: Venue, *arguments: str, key: str | None = None) -> Result:
    variables = {
        "EXCHANGE_URL": venue.url,
        "EXCHANGE_KEY": venue.operator_key if key is None else key,
        "DATABASE_URL": None,
    }
    return CliRunner().invoke(cli, ["oversight", *arguments], env=variables)


def as_json(result: Result) -> Any:
    assert result.exit_code == ExitCode.DONE, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", [name.value for name in ReportName])
def test_every_report_is_read(venue: Venue, name: str) -> None:
    report = as_json(call(venue, "report", name, "--by", "month", "--json"))
    assert report["name"] == name
    shown = call(venue, "report", name)
    assert report["definition"][:40] in shown.stdout


def test_a_book_is_read_as_it_stood(venue: Venue) -> None:
    book = as_json(call(venue, "book", PRODUCT, "--sequence", "0", "--json"))
    assert (book["sequence"], book["data"]) == (0, [])
    now = as_json(call(venue, "book", PRODUCT, "--json"))
    shown = call(venue, "book", PRODUCT, "--sequence", str(now["sequence"]))
    assert all(each["order_id"] in shown.stdout for each in now["data"])
    refused = call(venue, "book", PRODUCT, "--sequence", str(now["sequence"] + 1_000_000))
    assert refused.exit_code == ExitCode.REFUSED
    assert "sequence" in refused.stderr


def test_a_life_needs_a_reason_and_is_on_record(venue: Venue) -> None:
    assert call(venue, "life", "ord_0000000000001").exit_code == ExitCode.USAGE
    assert call(venue, "life", "par_0000000000001", "--reason", "x").exit_code == ExitCode.USAGE
    gone = call(venue, "life", "ord_0000000000001", "--reason", "case 7")
    assert gone.exit_code == ExitCode.REFUSED
    asked = call(venue, "questions", "--limit", "1", "--json")
    assert json.loads(asked.stdout)["reason"] == "case 7"
    assert "case 7" in call(venue, "questions", "--limit", "5").stdout
    order = as_json(call(venue, "book", PRODUCT, "--json"))["data"]
    for each in order[:1]:
        life = as_json(call(venue, "life", each["order_id"], "--reason", "case 8", "--json"))
        assert life["order"]["id"] == each["order_id"]
        assert "NEWO" in call(venue, "life", each["order_id"], "--reason", "case 8").stdout


def test_the_summaries_are_recomputed_on_the_database(venue: Venue) -> None:
    where = ("--data-dir", str(venue.data_dir))
    assert as_json(call(venue, "recompute", *where, "--json")) == []
    said = call(venue, "recompute", *where)
    assert said.exit_code == ExitCode.DONE
    assert "the summaries are what the record says" in said.stdout
