"""Goal: a command that failed says what is known of its effect. Method: failures made up."""

import click
import pytest
from click.testing import CliRunner

from exchange.cli.failures import IN_DOUBT, ExitCode, FailureGroup
from exchange.cli.main import cli
from exchange.client import ApiProblem, ExchangeClient, Unreachable
from exchange.client.problems import Problem
from exchange.orders.models import NewOrder

TRADED_AT = "2026-12-01T00:00:00Z"
BUYING = (*("buy", "a-product", "2", "--for", "2h", "--price", "3.20", "--start", TRADED_AT), "-y")
LOST = Unreachable("no answer", is_lost=True)
UNKNOWN = ApiProblem(Problem(status=503, code="not_committed", outcome="unknown", retryable=True))
DENIED = ApiProblem(Problem(status=503, code="no_leader", outcome="not_applied", retryable=True))
NOBODY = Unreachable("nobody there", outcome="not_applied")


@pytest.mark.parametrize(
    "failure, is_in_doubt", [(LOST, True), (UNKNOWN, True), (DENIED, False), (NOBODY, False)]
)
def test_what_may_have_been_applied_is_said_to(
    failure: Exception,
    is_in_doubt: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.group(cls=FailureGroup)
    def group() -> None:
        """Fail."""

    @group.command()
    def fail() -> None:
        raise failure

    failed = CliRunner().invoke(group, ["fail"])
    assert failed.exit_code == ExitCode.UNAVAILABLE
    assert (IN_DOUBT in failed.stderr) == is_in_doubt

    placed: list[str] = []

    async def create_order(_client: ExchangeClient, order: NewOrder) -> None:
        placed.append(order.client_order_id)
        raise failure

    async def venue_now_us(_client: ExchangeClient) -> int:
        return 0

    monkeypatch.setattr(ExchangeClient, "create_order", create_order)
    monkeypatch.setattr(ExchangeClient, "venue_now_us", venue_now_us)
    for more in ([], ["--json"]):
        failed = CliRunner().invoke(cli, [*BUYING, *more], env={"EXCHANGE_KEY": "cx_key"})
        assert failed.exit_code == ExitCode.UNAVAILABLE
        assert (f"--client-order-id {placed[-1]}" in failed.stderr) == is_in_doubt
