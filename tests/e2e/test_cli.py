"""Goal: the commands of a person at a terminal do what they say, and every failure is one clear block.

Method: a served exchange in a process of its own; commands are called in this process with their real
arguments, and judged by exit code, standard output and standard error.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import ExitCode
from exchange.cli.main import COMMANDS, cli
from tests.benchmarks.venue import PRODUCT, Venue

WHY = ("--reason", "a test")


def call(*arguments: str, key: str = "", url: str = "", **environment: str) -> Result:
    variables = {"EXCHANGE_URL": url or None, "EXCHANGE_KEY": key or None, "DATABASE_URL": None}
    return CliRunner().invoke(cli, arguments, env={**variables, **environment})


def as_json(result: Result) -> Any:
    assert result.exit_code == ExitCode.DONE, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    result = call(name, "--help")
    assert result.exit_code == ExitCode.DONE, result.output
    assert "Usage:" in result.stdout


def test_exit_codes_are_documented() -> None:
    told = call("--help").stdout
    assert all(f"{code.value} " in told for code in ExitCode)


def test_buy_list_get_and_cancel(venue: Venue) -> None:
    def trade(*arguments: str) -> Result:
        return call(*arguments, url=venue.url, key=venue.buyer_keys[0])

    filled = as_json(
        trade("buy", PRODUCT, "2", "--for", "3h", "--within", "2d", "--price", "3.20", "-y", "--json")
    )
    assert (filled["status"], filled["filled_gpu_hours"], filled["vouchers"]) == ("filled", 6, "none")
    resting = as_json(
        trade("buy", PRODUCT, "1", "--for", "1h", "--start", "in 30h", "--price", "0.90", "-y", "--json")
    )
    assert resting["status"] == "resting"

    listed = [json.loads(line) for line in trade("orders", "list", "--json").stdout.splitlines()]
    assert [order["id"] for order in listed[:2]] == [resting["id"], filled["id"]]
    table = trade("orders", "list", "--status", "resting").stdout
    assert resting["id"] in table
    assert filled["id"] not in table
    assert filled["fills"][0]["trade_id"] in trade("orders", "get", filled["id"]).stdout

    assert as_json(trade("orders", "cancel", resting["id"], "-y", "--json"))["status"] == "cancelled"
    again = trade("orders", "cancel", resting["id"], "-y")
    assert again.exit_code == ExitCode.REFUSED
    assert "order_not_live" in again.stderr


def test_the_same_client_order_id_places_one_order(venue: Venue) -> None:
    arguments = ("buy", PRODUCT, "1", "--for", "1h", "--start", "2100-01-01T00:00Z", "--price", "3", "-y")
    far = call(*arguments, url=venue.url, key=venue.buyer_keys[0])
    assert far.exit_code == ExitCode.REFUSED
    assert "/starts_at" in far.stderr or "/ends_at" in far.stderr
    twice = [
        call(
            "buy", PRODUCT, "1", "--for", "1h", "--start", "in 40h", "--price", "3", "-y", "--json",
            "--client-order-id", "once", url=venue.url, key=venue.buyer_keys[0],
        )
        for _ in range(2)
    ]  # fmt: skip
    assert as_json(twice[0])["id"] == as_json(twice[1])["id"]


def test_a_refusal_names_every_field_and_stdout_stays_empty(venue: Venue) -> None:
    arguments = ("buy", "no-such.product", "3", "--for", "2h", "--price", "1.234", "-y")
    refused = call(*arguments, url=venue.url, key=venue.buyer_keys[0])
    assert refused.exit_code == ExitCode.REFUSED
    assert refused.stdout == ""
    for said in ("/product", "'no-such.product'", "/price_cny_per_gpu_hour", "'1.234'", "request req_"):
        assert said in refused.stderr
    problem = call(*arguments, "--json", url=venue.url, key=venue.buyer_keys[0])
    assert {fault["pointer"] for fault in json.loads(problem.stderr)["errors"]} >= {"/product"}


def test_wrong_use_is_told_before_anything_is_sent() -> None:
    for arguments, said in [
        (("buy", PRODUCT, "1", "--for", "6 minutes", "--price", "1", "-y"), "is not a duration"),
        (("buy", PRODUCT, "0", "--for", "6h", "--price", "1", "-y"), "GPUS"),
        (("replay", "--bids", "/nowhere", "--offers", "/nowhere", "--quotes", "/nowhere"), "/nowhere"),
        (("bench", "no.such.bench"), ""),
        (("no-such-command",), "no-such-command"),
        (
            (
                "replay",
                *(part for name in ("bids", "offers", "quotes") for part in (f"--{name}", __file__)),
                "--acknowledged",
                "/nowhere/answers",
            ),
            "/nowhere/answers",
        ),
        (("buy", PRODUCT, "1", "--for", "6h", "--within", "5h", "--price", "1", "-y"), "--within"),
        (("orders", "list", "--url", "http://[::1"), "http://[::1"),
    ]:
        result = call(*arguments, url="http://127.0.0.1:9")
        assert result.exit_code == ExitCode.USAGE, result.output
        assert said in result.stderr


def test_no_to_a_question_places_nothing(venue: Venue) -> None:
    arguments = ("buy", PRODUCT, "1", "--for", "1h", "--price", "1")
    before = call("orders", "list", url=venue.url, key=venue.buyer_keys[0]).stdout
    for answer in ("n\n", ""):
        variables = {"EXCHANGE_URL": venue.url, "EXCHANGE_KEY": venue.buyer_keys[0]}
        result = CliRunner().invoke(cli, arguments, env=variables, input=answer)
        assert result.exit_code == ExitCode.INTERRUPTED
        assert result.stdout == ""
    assert call("orders", "list", url=venue.url, key=venue.buyer_keys[0]).stdout == before


@pytest.mark.parametrize("key", ["cx_1_a\nb", "ключ", "cx 1"])
def test_a_text_that_can_be_no_key_is_not_sent_and_not_shown(key: str) -> None:
    result = call("orders", "list", url="http://127.0.0.1:9", key=key)
    assert result.exit_code == ExitCode.USAGE
    assert "EXCHANGE_KEY" in result.stderr
    assert key.split(maxsplit=1)[0] not in result.stderr


def test_an_id_is_one_part_of_a_path(venue: Venue) -> None:
    for order_id in ("../accounts", "x/../../time", "a?b", "..", "#"):
        result = call("orders", "get", order_id, url=venue.url, key=venue.buyer_keys[0])
        assert result.exit_code == ExitCode.REFUSED
        assert "not_found" in result.stderr


def test_a_good_till_date_order_says_until_when(venue: Venue) -> None:
    arguments = "buy", PRODUCT, "1", "--for", "1h", "--start", "in 50h", "--price", "0.90", "-y", "--json"
    until = ("--time-in-force", "gtd", "--expires", "in 4h")
    placed = as_json(call(*arguments, *until, url=venue.url, key=venue.buyer_keys[0]))
    assert placed["status"] == "resting"
    assert placed["expires_at"] < placed["starts_at"]
    without = call(*arguments, *until[:2], url=venue.url, key=venue.buyer_keys[0])
    assert without.exit_code == ExitCode.REFUSED
    assert "/expires_at" in without.stderr


def test_a_start_that_is_none_is_told(venue: Venue) -> None:
    arguments = ("buy", PRODUCT, "1", "--for", "6h", "--price", "1", "--start", "soon", "-y")
    result = call(*arguments, url=venue.url, key=venue.buyer_keys[0])
    assert result.exit_code == ExitCode.USAGE
    assert "tomorrow 09:00" in result.stderr


def test_nobody_at_the_address_and_no_key_are_told_apart(venue: Venue) -> None:
    absent = call("orders", "list", url="http://127.0.0.1:9", key="x")
    assert absent.exit_code == ExitCode.UNAVAILABLE
    assert "no answer from http://127.0.0.1:9" in absent.stderr
    keyless = call("orders", "list", url=venue.url)
    assert keyless.exit_code == ExitCode.REFUSED
    assert "unauthenticated" in keyless.stderr


def test_the_market_is_open_to_all(venue: Venue) -> None:
    products = as_json(call("market", "products", "--hub", "beijing-tianjin-hebei", "--json", url=venue.url))
    assert PRODUCT in {product["id"] for product in products}
    assert PRODUCT in call("market", "products", url=venue.url).stdout
    for what in ("ticker", "calendar", "depth"):
        found = as_json(call("market", what, PRODUCT, "--json", url=venue.url))
        assert found["product"] == PRODUCT
        assert call("market", what, PRODUCT, url=venue.url).exit_code == ExitCode.DONE


def test_trades_are_for_regulators(venue: Venue) -> None:
    refused = call("trades", "export", *WHY, url=venue.url, key=venue.buyer_keys[0])
    assert refused.exit_code == ExitCode.REFUSED
    assert "forbidden" in refused.stderr
    nowhere = ("--output", "/nowhere/trades.csv")
    unwritable = call("trades", "export", *WHY, *nowhere, url=venue.url, key=venue.operator_key)
    assert unwritable.exit_code == ExitCode.USAGE
    assert "/nowhere/trades.csv" in unwritable.stderr
    exported = call("trades", "export", *WHY, "--format", "ndjson", url=venue.url, key=venue.operator_key)
    assert all(json.loads(line)["product"] == PRODUCT for line in exported.stdout.splitlines())


def test_keys_are_made_listed_and_revoked_on_a_running_exchange(venue: Venue) -> None:
    me = venue.operator_id
    where = ("--data-dir", str(venue.data_dir))
    made = as_json(call("keys", "create", me, "--scope", "audit", "--expires-in", "30d", *where, "--json"))
    assert call("trades", "export", *WHY, url=venue.url, key=made["secret"]).exit_code == ExitCode.DONE
    listed = {key["id"]: key for key in as_json(call("keys", "list", me, *where, "--json"))}
    assert listed[made["id"]]["scopes"] == "audit"
    assert call("keys", "revoke", made["id"], "-y", *where).exit_code == ExitCode.DONE
    revoked = {key["id"]: key for key in as_json(call("keys", "list", me, *where, "--json"))}
    assert revoked[made["id"]]["revoked_at"] is not None
    wrong = call("keys", "create", "par_nonsense", "--scope", "read", *where)
    assert wrong.exit_code == ExitCode.USAGE


def test_the_books_are_checked_where_they_are(venue: Venue) -> None:
    where = ("--data-dir", str(venue.data_dir))
    assert as_json(call("ledger", "check", *where, "--json")) == []
    assert as_json(call("migrate", *where, "--json"))["applied"] == []


def test_a_fresh_folder_gets_its_own_database(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path / "data"))
    assert "0001_participants" in str(as_json(call("migrate", *where, "--json")))
    assert call("migrate", *where).stdout.strip() == "nothing to apply"


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://x/y", "postgres://u:secret@127.0.0.1:99999/x", "postgres://u@h:secret/x"]
)
def test_an_address_that_is_no_databases_is_told_in_one_block(url: str) -> None:
    result = call("migrate", "--database-url", url)
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "database" in result.stderr
    assert "secret" not in result.stderr


def test_a_database_that_is_not_there_is_told_in_one_block(empty_database_url: str) -> None:
    result = call("migrate", "--database-url", empty_database_url.replace("/test_", "/no_such_test_"))
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "does not exist" in result.stderr


def test_a_folder_that_cannot_be_made_is_named() -> None:
    result = call("migrate", "--data-dir", "/proc/no-folder")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "/proc/no-folder" in result.stderr


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    result = call("migrate", "--data-dir", str(tmp_path), EXCHANGE_PORT="many")
    assert result.exit_code == ExitCode.USAGE
    assert "EXCHANGE_PORT" in result.stderr
