"""Goal: from a terminal an order is previewed, amended, withdrawn with all others, and found as a trade.

Method: as in `test_cli`: a served exchange in a process of its own, commands with their real arguments.
"""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import ExitCode
from exchange.cli.main import cli
from tests.benchmarks.venue import PRODUCT, Venue


@pytest.fixture(scope="module")
def venue(own_venue: Venue) -> Venue:
    return own_venue


def trade(venue: Venue, *arguments: str, answers: str | None = None) -> Result:
    variables = {"EXCHANGE_URL": venue.url, "EXCHANGE_KEY": venue.buyer_keys[0], "DATABASE_URL": None}
    return CliRunner().invoke(cli, arguments, env=variables, input=answers)


def as_json(result: Result) -> Any:
    assert result.exit_code == ExitCode.DONE, result.output
    return json.loads(result.stdout)


def bid(venue: Venue, price: str, *more: str) -> Any:
    return as_json(
        trade(
            venue, "buy", PRODUCT, "2", "--for", "2h", "--start", "in 30h", "--price", price, *more, "--json"
        )
    )


def test_a_preview_places_nothing(venue: Venue) -> None:
    preview = bid(venue, "3.20", "--preview")
    assert (preview["status"], preview["filled_gpus"], preview["fee_cny"][:1]) == ("filled", 2, "0")
    text = trade(
        venue, "buy", PRODUCT, "2", "--for", "2h", "--start", "in 30h", "--price", "99999", "--preview"
    ).stdout
    assert "rejected (order_rejected)" in text or "rejected (insufficient_funds)" in text
    shown = trade(
        venue, "buy", PRODUCT, "2", "--for", "2h", "--start", "in 30h", "--price", "3.20", "--preview"
    )
    assert "you pay" in shown.stdout
    rests = trade(
        *(venue, "buy", PRODUCT, "2", "--for", "2h", "--within", "1d", "--start", "in 40h"),
        *("--price", "0.90", "--preview"),
    )
    [window] = [line.split() for line in rests.stdout.splitlines() if line.startswith("window")]
    start, end = (datetime.fromisoformat(window[place]) for place in (1, 3))
    assert end - start == timedelta(days=1)
    assert [word for word in window if word not in {window[1], window[3]}] == [
        *("window", "to", "(UTC),", "for", "2h")
    ]
    refused = trade(
        *(venue, "buy", PRODUCT, "2", "--for", "2h", "--price", "3.20", "--preview"),
        *("--voucher-policy", "only_eligible"),
    )
    assert refused.exit_code == ExitCode.REFUSED
    assert "/voucher_policy" in refused.output
    assert trade(venue, "orders", "list", "--json").stdout == ""
    assert trade(venue, "trades", "list", "--json").stdout == ""


def test_an_order_is_amended_and_all_are_cancelled(venue: Venue) -> None:
    resting = bid(venue, "0.90", "-y")
    assert (
        as_json(
            trade(venue, "orders", "amend", resting["id"], "--gpus", "1", "--if-filled", "0", "-y", "--json")
        )["priority"]
        == "kept"
    )
    moved = trade(
        venue, "orders", "amend", resting["id"], "--price", "0.91", "--start", "in 31h", "--end", "in 34h"
    )
    assert moved.exit_code != ExitCode.DONE  # nobody said yes
    moved = trade(
        venue, "orders", "amend", resting["id"], "--price", "0.91", "--start", "in 31h", "--end", "in 34h",
        answers="y\n",
    )  # fmt: skip
    assert moved.exit_code == ExitCode.DONE, moved.output
    assert "lost" in moved.stdout
    assert f"replaces   {resting['id']}" in moved.stdout
    refused = trade(venue, "orders", "amend", resting["id"], "--price", "0.92", "-y")
    assert refused.exit_code == ExitCode.REFUSED
    assert "order_not_live" in refused.stderr
    [rests] = [
        json.loads(line)
        for line in trade(venue, "orders", "list", "--status", "resting", "--json").stdout.splitlines()
    ]
    assert trade(venue, "orders", "cancel", "--all", "--side", "sell", "-y", "--json").stdout == ""
    withdrawn = trade(venue, "orders", "cancel", "--all", "--product", PRODUCT, "-y")
    assert rests["id"] in withdrawn.stdout
    assert trade(venue, "orders", "list", "--status", "resting", "--json").stdout == ""


def test_what_was_bought_is_listed(venue: Venue) -> None:
    filled = bid(venue, "3.20", "-y")
    [row] = trade(venue, "trades", "list", "--order", filled["id"], "--json").stdout.splitlines()
    assert json.loads(row)["id"] == filled["fills"][0]["trade_id"]
    assert filled["fills"][0]["trade_id"] in trade(venue, "trades", "list", "--product", PRODUCT).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("orders", "cancel", "-y"),
        ("orders", "cancel", "ord_1", "--all", "-y"),
        ("orders", "cancel", "ord_1", "--side", "buy", "-y"),
        ("orders", "amend", "ord_1", "-y"),
        ("orders", "amend", "ord_1", "--start", "whenever", "-y"),
    ],
)
def test_wrong_use_is_told(venue: Venue, arguments: tuple[str, ...]) -> None:
    result = trade(venue, *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr
