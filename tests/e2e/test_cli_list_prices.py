"""Goal: a provider publishes its list price and anyone with a key reads it, by commands alone.

Method: as in `test_cli`: a served exchange, commands with their real arguments.
"""

import json
from typing import Any

from click.testing import Result

from exchange.cli.failures import ExitCode
from tests.benchmarks.venue import PRODUCT, Venue
from tests.e2e.test_cli import as_json, call


def rows(result: Result) -> list[tuple[int, str]]:
    assert result.exit_code == ExitCode.DONE, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [(each["number"], each["price_cny_per_gpu_hour"]) for each in found]


def test_a_list_price_is_published_and_read_with_its_history(venue: Venue) -> None:
    provider, buyer = venue.provider_key, venue.buyer_keys[0]
    shown = ("market", "list-prices", PRODUCT)
    assert rows(call(*shown, "--json", url=venue.url, key=buyer)) == []

    def put(price: str) -> Any:
        return as_json(call("list-price", PRODUCT, price, "--json", url=venue.url, key=provider))

    assert put("4.50") == put("4.50")
    listed = put("5")
    assert (listed["number"], listed["price_cny_per_gpu_hour"]) == (2, "5.00")
    assert "5.00" in call("list-price", PRODUCT, "5.00", url=venue.url, key=provider).stdout
    assert rows(call(*shown, "--json", url=venue.url, key=buyer)) == [(2, "5.00")]
    history = [(2, "5.00"), (1, "4.50")]
    assert rows(call(*shown, "--history", "--json", url=venue.url, key=buyer)) == history
    of_one = ("--provider", listed["provider_id"])
    assert rows(call(*shown, *of_one, "--json", url=venue.url, key=buyer)) == history
    assert listed["provider_id"] in call(*shown, url=venue.url, key=buyer).stdout


def test_what_is_no_list_price_is_refused_with_the_rule(venue: Venue) -> None:
    for key, product, price, said in (
        (venue.provider_key, PRODUCT, "0", "/price_cny_per_gpu_hour"),
        (venue.provider_key, "no.such.product", "5", "GET /v1/products"),
        (venue.buyer_keys[0], PRODUCT, "5", "list_capacity"),
        (venue.operator_key, PRODUCT, "5", "only a provider"),
    ):
        refused = call("list-price", product, price, url=venue.url, key=key)
        assert (refused.exit_code, refused.stdout) == (ExitCode.REFUSED, "")
        assert said in refused.stderr
    wrong = call("market", "list-prices", PRODUCT, "--provider", "x", url=venue.url, key=venue.provider_key)
    assert (wrong.exit_code, "?provider_id" in wrong.stderr) == (ExitCode.REFUSED, True)
