"""Goal: the OpenAPI document is true, and nothing that can be made from it makes the exchange fail.

Method: Schemathesis (`api_runs`), over a real socket, with a key of each kind of participant: cases at the
edges of every schema, random ones, and sequences along the links, of good data and bad. No answer is a 5xx;
its status, type, headers and body are those of the document; what the schema forbids is refused, and what it
allows is not refused for its form; without a key or with a bad one every closed route says 401.

In profile `ci` the same cases every time, those at the edges once for every third route and for those that
matter most, and those of routes that are open to everybody by the first kind only. `make fuzz-api` tries all.
"""

from pathlib import Path

import pytest

from exchange.participants.models import ParticipantKind
from exchange.participants.rules import KIND_SCOPES
from tests.e2e.api_runs import Run, carry_out, open_to
from tests.e2e.served import Caller
from tests.e2e.stage import Stage, staged
from tests.hypothesis_profiles import is_long

KINDS = tuple(ParticipantKind)
ONLY = {
    "POST /v1/claims/{claim_id}/evidence": ParticipantKind.PROVIDER,
    "POST /v1/programmes": ParticipantKind.ISSUER,
}
"""Routes that one kind tries alone. Where one of these is open, Schemathesis begins no sequence elsewhere."""
TWINS = {
    "POST /v1/programmes/{programme_id}/versions": "POST /v1/programmes",
    "POST /v1/orders/preview": "POST /v1/orders",
    "POST /v1/oversight/alert-rules/backtest": "POST /v1/oversight/alert-rules",
    "GET /v1/oversight/trades/export": "GET /v1/oversight/trades",
    "GET /v1/oversight/events/export": "GET /v1/oversight/events",
    "GET /v1/oversight/reports/{report}/export": "GET /v1/oversight/reports/{report}",
    "GET /v1/statements/programmes/burn/export": "GET /v1/statements/programmes/burn",
}
"""Take the order, the rules or the filter that another route takes, whose cases at the edges do for both."""
ALWAYS = frozenset(
    {
        *TWINS.values(),
        *("PATCH /v1/orders/{order_id}", "POST /v1/vouchers", "POST /v1/claims", "POST /v1/keys"),
        *("POST /v1/deposits", "POST /v1/withdrawals"),
    }
)
"""Routes whose cases at the edges are tried by each run that there is."""


async def caller_of(stage: Stage, kind: ParticipantKind) -> Caller:
    if kind is not ParticipantKind.OPERATOR:
        return stage.cast.of(kind.value)
    me = await stage.operator.get("/v1/participants/me")
    return Caller(http=stage.house.http, id=me["id"], key=stage.operator.key)


@pytest.mark.timeout(540)  # thousands of requests
@pytest.mark.parametrize("kind", KINDS)
async def test_the_document_is_true_for(kind: ParticipantKind, database_url: str, tmp_path: Path) -> None:
    # The echo route is for benchmarks; it reads an order's form only, and so takes more than it describes.
    async with staged(database_url, tmp_path / "data", bench_echo=False) as stage:
        caller = await caller_of(stage, kind)
        spare = await stage.operator.key_of(caller.id, ["read"])
        earlier = KINDS[: KINDS.index(kind)]
        tried = frozenset(TWINS).union(*(open_to(stage, KIND_SCOPES[each]) for each in earlier))
        others = sorted(open_to(stage, KIND_SCOPES[kind]) - tried)
        tried |= frozenset(others) - frozenset(others[::3]) - ALWAYS
        run = Run(
            caller=caller,
            scopes=KIND_SCOPES[kind],
            spare_key_id=spare["id"],
            left_out=frozenset(route for route, alone in ONLY.items() if alone is not kind),
            tried=frozenset() if is_long() else tried,
            alike=frozenset() if is_long() or not earlier else open_to(stage, frozenset()),
        )
        status, said = await carry_out(stage, run, tmp_path)
        assert status == 0, said
        assert "No issues found" in said, said
        print(said)  # noqa: T201 - shown where the end of the test fails
