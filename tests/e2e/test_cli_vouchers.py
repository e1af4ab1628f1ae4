"""Goal: a city starts its programme from a file, a company learns what it would be paid, by commands alone.

Method: as in `test_cli`: a served exchange, commands with their real arguments.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.failures import ExitCode
from exchange.client import ExchangeClient
from exchange.participants.models import NewKey, NewParticipant, ParticipantKind
from exchange.participants.rules import KIND_SCOPES
from exchange.programmes.examples import EXAMPLES
from tests.benchmarks.venue import PRODUCT, Venue
from tests.e2e.test_cli import as_json, call


@pytest.fixture(scope="module")
def venue(own_venue: Venue) -> Venue:
    return own_venue


@pytest.fixture(scope="module")
def issuer_key(venue: Venue) -> str:
    async def join() -> str:
        async with ExchangeClient(venue.url, venue.operator_key) as operator:
            new = NewParticipant(kind=ParticipantKind.ISSUER, name="city")
            issuer = await operator.create_participant(new)
            scopes = tuple(sorted(KIND_SCOPES[ParticipantKind.ISSUER]))
            issued = await operator.create_key(NewKey(scopes=scopes, participant_id=issuer.id))
        return issued.secret or ""

    return asyncio.run(join())


def test_a_file_starts_a_programme_and_a_changed_one_gives_it_a_version(
    venue: Venue, issuer_key: str, tmp_path: Path
) -> None:
    file = tmp_path / "programme.json"

    def put(document: dict[str, Any]) -> Any:
        file.write_text(json.dumps(document))
        return as_json(
            call("vouchers", "programmes", "import", str(file), "--json", url=venue.url, key=issuer_key)
        )

    document = json.loads(call("vouchers", "programmes", "example", "hangzhou").stdout)
    created = put(document)
    assert (created["outcome"], created["code"], created["version"]) == ("created", "hangzhou-compute", 1)
    unchanged = put(document)
    assert (unchanged["outcome"], unchanged["version"]) == ("unchanged", 1)
    document["rules"]["validity_days"] = 180
    added = put(document)
    assert (added["outcome"], added["version"]) == ("added", 2)
    assert added["programme_id"] == created["programme_id"]
    assert put(document)["outcome"] == "unchanged"
    later = put({**document, "effective_from": "2090-01-01T00:00:00Z"})
    assert (later["version"], later["effective_at"]) == (3, "2090-01-01T00:00:00Z")

    table = call("vouchers", "programmes", "list", url=venue.url, key=issuer_key).stdout
    assert created["programme_id"] in table
    told = as_json(
        call(
            "vouchers", "eligibility", PRODUCT, "1", "--for", "6h", "--price", "3", "--json",
            url=venue.url, key=venue.buyer_keys[0],
        )
    )  # fmt: skip
    assert (told["subsidised"], told["amount_cny"], told["voucher_cny"]) == (False, "18.00", "0.00")
    (programme,) = told["programmes"]
    assert (programme["code"], programme["version"], programme["pays_for_order"]) == (
        "hangzhou-compute",
        2,
        True,
    )
    said = call(
        "vouchers", "eligibility", PRODUCT, "1", "--for", "6h", "--price", "3",
        url=venue.url, key=venue.buyer_keys[0],
    ).stdout  # fmt: skip
    for word in ("subsidised   no", "/rate_tiers/0: 20 %", "/buyer/regions", "you have no voucher of it"):
        assert word in said
    assert call("vouchers", "list", url=venue.url, key=venue.buyer_keys[0]).exit_code == ExitCode.DONE


def test_a_draft_is_imported_opened_and_closed(venue: Venue, issuer_key: str, tmp_path: Path) -> None:
    file = tmp_path / "programme.json"
    document = json.loads(call("vouchers", "programmes", "example", "guizhou").stdout)
    file.write_text(json.dumps(document))

    def done(*arguments: str) -> Any:
        whole = ("vouchers", "programmes", *arguments, "--json")
        return as_json(call(*whole, url=venue.url, key=issuer_key))

    created = done("import", str(file), "--draft")
    assert created["outcome"] == "created"
    listed = call("vouchers", "programmes", "list", url=venue.url, key=venue.buyer_keys[0]).stdout
    assert created["programme_id"] not in listed
    document["rules"]["budget_fen"] = 7_000_000_000
    file.write_text(json.dumps(document))
    assert done("import", str(file), "--draft")["outcome"] == "added"
    opened = done("step", created["programme_id"], "open", "--reason", "approved", "-y")
    assert (opened["status"], opened["budget_cny"]) == ("open", "70000000.00")
    late = call("vouchers", "programmes", "import", str(file), "--draft", url=venue.url, key=issuer_key)
    assert late.exit_code == ExitCode.USAGE
    assert "no draft any more" in late.stderr
    closing = ("vouchers", "programmes", "step", created["programme_id"], "closed", "--reason", "over")
    said = call(*closing, "-y", url=venue.url, key=issuer_key).stdout
    assert "returned CNY  70000000.00" in said
    again = call(*closing, "-y", url=venue.url, key=issuer_key)
    assert again.exit_code == ExitCode.REFUSED
    steps = call("vouchers", "programmes", "steps", created["programme_id"], url=venue.url, key=issuer_key)
    assert [word in steps.stdout for word in ("approved", "over", "issuer")] == [True] * 3


def test_every_fault_of_a_file_is_told_at_once(venue: Venue, issuer_key: str, tmp_path: Path) -> None:
    file = tmp_path / "programme.json"
    document = json.loads(call("vouchers", "programmes", "example", "shenzhen").stdout)
    document["rules"]["rate_tiers"][1]["when"] = [{"fact": "age_years"}]
    document["rules"] |= {"stacking": "none", "cashable": True}
    file.write_text(json.dumps(document))
    refused = call("vouchers", "programmes", "import", str(file), url=venue.url, key=issuer_key)
    assert refused.exit_code == ExitCode.REFUSED
    assert refused.stdout == ""
    for place in ("/rules/stacking_ceiling_bps", "/rules/cashable", "/rules/rate_tiers/1/when/0"):
        assert place in refused.stderr
    for text, said in (("{", "is not JSON"), ("[]", "is no programme"), ('{"code": 5}', "is no programme")):
        file.write_text(text)
        wrong = call("vouchers", "programmes", "import", str(file), url=venue.url, key=issuer_key)
        assert wrong.exit_code == ExitCode.USAGE
        assert said in wrong.stderr
    denied = call("vouchers", "programmes", "import", "/nowhere", url=venue.url, key=issuer_key)
    assert denied.exit_code == ExitCode.USAGE


def test_every_example_can_be_shown() -> None:
    for name in EXAMPLES:
        assert json.loads(call("vouchers", "programmes", "example", name).stdout)["rules"]
