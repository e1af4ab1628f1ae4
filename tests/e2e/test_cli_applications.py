"""Goal: a company applies and a city decides, one by one and by score, by commands alone.

Method: as in `test_cli_vouchers`: a served exchange, commands with their real arguments.
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
from tests.benchmarks.venue import Venue
from tests.e2e.test_cli import as_json, call


@pytest.fixture(scope="module")
def issuer_keys(venue: Venue) -> list[str]:
    async def join() -> list[str]:
        async with ExchangeClient(venue.url, venue.operator_key) as operator:
            new = NewParticipant(kind=ParticipantKind.ISSUER, name="city")
            issuer = await operator.create_participant(new)
            scopes = tuple(sorted(KIND_SCOPES[ParticipantKind.ISSUER]))
            wanted = NewKey(scopes=scopes, participant_id=issuer.id)
            return [(await operator.create_key(wanted)).secret or "" for _ in range(2)]

    return asyncio.run(join())


def start(venue: Venue, key: str, file: Path, code: str, **rules: object) -> str:
    """Start a programme by command and return its id."""
    given = {"budget_fen": 100_000, "rate_tiers": [{"bps": 3_000}], "validity_days": 90, "provider": {}}
    file.write_text(json.dumps({"code": code, "name": "算力券", "rules": given | rules}))
    made = as_json(call("vouchers", "programmes", "import", str(file), "--json", url=venue.url, key=key))
    return str(made["programme_id"])


def test_a_company_applies_and_two_keys_of_the_city_grant_less(
    venue: Venue, issuer_keys: list[str], tmp_path: Path
) -> None:
    rules = {"review": {"auto_below_fen": 1_000, "committee_above_fen": 10_000}}
    plan = start(venue, issuer_keys[0], tmp_path / "p.json", "reviewed", **rules)
    buyer_key = venue.buyer_keys[0]

    def apply(amount: str) -> Any:
        return as_json(
            call(
                "vouchers", "apply", plan, amount, "--purpose", "training", "--json",
                url=venue.url, key=buyer_key,
            )
        )  # fmt: skip

    may = call("vouchers", "may-apply", plan, url=venue.url, key=buyer_key).stdout
    assert "yes" in may
    assert "9.99" in may
    assert apply("9.99")["status"] == "approved"
    made = apply("500")["id"]
    about = call("vouchers", "applications", "eligibility", made, "--json", url=venue.url, key=issuer_keys[0])
    assert (as_json(about)["amount_max_cny"], as_json(about)["is_admitted"]) == ("990.01", True)
    approve = "vouchers", "applications", "step", made, "approved", "--amount", "400", "-y"
    first = call(*approve, url=venue.url, key=issuer_keys[0])
    assert "in_committee" in first.stdout
    assert "second key" in first.stderr
    refused = call(*approve, url=venue.url, key=issuer_keys[0])
    assert (refused.exit_code, refused.stdout) == (ExitCode.REFUSED, "")
    granted = as_json(call(*approve, "--json", url=venue.url, key=issuer_keys[1]))
    assert (granted["status"], granted["approved_cny"]) == ("approved", "400.00")
    got = as_json(call("vouchers", "applications", "get", made, "--json", url=venue.url, key=buyer_key))
    assert got == granted
    steps = call("vouchers", "applications", "steps", made, url=venue.url, key=issuer_keys[0]).stdout
    assert steps.count("key_") == 2
    table = call("vouchers", "list", url=venue.url, key=buyer_key).stdout
    assert granted["voucher_id"] in table
    other = apply("20")["id"]
    stop = "vouchers", "applications", "step", other, "withdrawn"
    assert (
        call(*stop, url=venue.url, key=buyer_key).exit_code == ExitCode.INTERRUPTED
    )  # asked, and not answered
    assert "withdrawn" in call(*stop, "-y", url=venue.url, key=buyer_key).stdout
    listed = call(
        "vouchers", "applications", "list", "--status", "withdrawn", "--programme", plan, "--json",
        url=venue.url, key=buyer_key,
    )  # fmt: skip
    assert other in listed.stdout
    assert made not in listed.stdout


def test_a_city_scores_and_allocates(venue: Venue, issuer_keys: list[str], tmp_path: Path) -> None:
    key = issuer_keys[0]
    plan = start(venue, key, tmp_path / "p.json", "scored", allocation="scored", budget_fen=50_000)
    made = [
        as_json(
            call(
                "vouchers", "apply", plan, "300", "--purpose", "x", "--json",
                url=venue.url, key=venue.buyer_keys[0],
            )
        )["id"]
        for _ in range(2)
    ]  # fmt: skip
    for application, score in zip(made, ("10", "20"), strict=True):
        said = call(
            "vouchers", "applications", "score", application, score, "--reason", "read",
            url=venue.url, key=key,
        ).stdout  # fmt: skip
        assert "submitted" in said
    said = call("vouchers", "programmes", "allocate", plan, "-y", url=venue.url, key=key).stdout
    assert said.index(made[1]) < said.index(made[0])
    assert "approved 300.00 CNY, 200.00 CNY of the budget is left" in said
    again = as_json(call("vouchers", "programmes", "allocate", plan, "-y", "--json", url=venue.url, key=key))
    assert (again["data"], again["unissued_cny"]) == ([], "200.00")
    bad = call("vouchers", "applications", "score", made[0], "1001", "--reason", "x", url=venue.url, key=key)
    assert bad.exit_code == ExitCode.USAGE
