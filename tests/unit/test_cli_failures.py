"""Goal: a command that failed says what is known of its effect. Method: failures made up."""

import click
import pytest
from click.testing import CliRunner, Result

from exchange.cli.failures import IN_DOUBT, ExitCode, FailureGroup
from exchange.cli.main import cli
from exchange.client import ApiProblem, ExchangeClient, Unreachable
from exchange.client.problems import Problem, ProblemFault
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


OVER = ProblemFault(code="order_over", detail="is cancelled (requested)", value="cancelled")
AT_A_FIELD = ProblemFault(pointer="/hours", code="out_of_range", detail="must be at least 1", value=0)


def cancelling(failure: ApiProblem, monkeypatch: pytest.MonkeyPatch, *more: str) -> Result:
    async def cancel_order(_client: ExchangeClient, _order_id: str) -> None:
        raise failure

    monkeypatch.setattr(ExchangeClient, "cancel_order", cancel_order)
    return CliRunner().invoke(cli, ["orders", "cancel", "ord_1", "-y", *more], env={"EXCHANGE_KEY": "cx_key"})


def test_a_cancel_that_was_done_is_no_failure_where_its_order_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = ApiProblem(Problem(status=503, code="cancelled_not_read", outcome="applied", detail="is over"))
    for more, told in (([], "ord_1 is cancelled\n"), (["--json"], '{"id":"ord_1","status":"cancelled"}\n')):
        answer = cancelling(done, monkeypatch, *more)
        assert (answer.exit_code, answer.stdout, answer.stderr) == (0, told, "is over\n")


def test_only_what_was_sent_is_told_as_what_it_should_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = ApiProblem(Problem(status=409, code="order_not_live", errors=(OVER, AT_A_FIELD)))
    answer = cancelling(refusal, monkeypatch)
    assert answer.exit_code == ExitCode.REFUSED
    assert "  - is cancelled (requested)\n  - /hours  must be at least 1, not 0\n" in answer.stderr
