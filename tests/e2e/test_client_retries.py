"""Goal: what the client sends again has one effect; what could have two is never sent twice.

Method: the real client on a served exchange, over a line that loses requests or their answers where a test
says so; what the exchange then has is asked for over another line. Waits are tried on a clock made up.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.client import ApiProblem, ExchangeClient, Unreachable, calls, retrying
from exchange.client.problems import Problem
from exchange.client.retrying import PATIENCE_S, WAIT_S_MAX, WAIT_S_MIN, persist
from exchange.kit.clock import US_PER_SECOND
from exchange.kit.http_limits import Budget
from exchange.kit.rates import MemoryLimiter
from exchange.orders.many_models import NewOrders
from exchange.orders.models import AmendOrder
from tests.e2e.lossy_line import ask, client_over, made_up_clock, made_up_waits
from tests.e2e.served import served
from tests.e2e.stage import Stage, join_all


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with served(module_database_url, tmp_path_factory.mktemp("client_retries")) as house:
        yield Stage(house, await join_all(house), await join_all(house))


@pytest.mark.parametrize("faults", [["back"], ["there", "back", "back"], ["proxy", "back", "there"]])
async def test_what_has_one_effect_is_sent_until_it_is_answered(stage: Stage, faults: list[str]) -> None:
    run = "-".join(faults)
    async with client_over(stage, stage.cast.provider) as (client, line):
        line.faults = [*faults]
        placed = await client.create_order(ask(stage, f"one-{run}"))
        assert placed.status == "resting"
        line.faults = [*faults]
        outcomes = await client.create_orders(
            NewOrders(orders=[ask(stage, f"two-{run}"), ask(stage, f"three-{run}")])
        )
        assert [outcome.status for outcome in outcomes] == [201, 201]
        line.faults = [*faults]
        smaller = await client.edit_order(placed.id, AmendOrder(quantity_gpus=1))
        assert (smaller.quantity_gpus, smaller.priority) == (1, "kept")
        line.faults = [*faults]
        assert (await client.preview_order(ask(stage, f"four-{run}"))).status == "resting"
        line.faults = [*faults]
        assert (await client.fetch_order(placed.id)).quantity_gpus == 1
        line.faults = [*faults]
        assert (await client.cancel_all_orders_after(60)).cancels_at is not None
        assert (await client.cancel_all_orders_after(0)).cancels_at is None
        line.faults = [*faults]
        assert (await client.cancel_order(placed.id)).status == "cancelled"
        # What was really withdrawn before is still refused, and so is what was never there.
        with pytest.raises(ApiProblem) as refused:
            await client.cancel_order(placed.id)
        assert refused.value.problem.code == "order_not_live"
        answers = await client.cancel_orders([outcomes[0].order.id if outcomes[0].order else "", placed.id])
        assert [getattr(answer, "status", "refused") for answer in answers] == ["cancelled", "refused"]
        mine = [order.client_order_id async for order in client.fetch_orders(limit=1000)]
        assert sorted(name for name in mine if name.endswith(f"-{run}")) == sorted(
            f"{name}-{run}" for name in ("one", "two", "three")
        )
        live = [order.client_order_id async for order in client.fetch_open_orders(limit=1000)]
        assert live == [f"three-{run}"]
        await client.cancel_all_orders()
        assert [order async for order in client.fetch_open_orders(limit=1000)] == []


async def test_what_might_have_another_answer_is_sent_once(stage: Stage) -> None:
    async with client_over(stage, stage.cast.provider) as (client, line):
        await client.create_order(ask(stage, "all-1"))
        line.faults, line.sent = ["back"], []
        with pytest.raises(Unreachable):
            await client.cancel_all_orders()
        assert line.sent == [("DELETE", "/v1/orders")]
        assert [order async for order in client.fetch_open_orders(limit=1000)] == []


async def test_a_list_is_given_whole_unless_less_of_it_is_asked_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PAGE_ROWS", 2)
    async with client_over(stage, stage.cast.provider) as (client, line):
        await client.create_orders(NewOrders(orders=[ask(stage, f"list-{number}") for number in range(5)]))
        line.sent = []
        whole = [order.client_order_id async for order in client.fetch_open_orders()]
        assert whole == [f"list-{number}" for number in range(4, -1, -1)]
        assert len(line.sent) == 3
        for limit in (0, 1, 3):
            some = [order.client_order_id async for order in client.fetch_open_orders(limit=limit)]
            assert some == whole[:limit]
        assert [account.id async for account in client.fetch_balance()]
        await client.cancel_all_orders()


async def test_a_refusal_that_stays_is_told_at_once(stage: Stage) -> None:
    async with client_over(stage, stage.cast.provider) as (client, line):
        with pytest.raises(ApiProblem) as refused:
            await client.create_order(ask(stage, "wrong", product="nothing"))
        assert (refused.value.problem.status, len(line.sent)) == (422, 1)


async def test_nobody_there_from_the_beginning_is_told_at_once() -> None:
    async with ExchangeClient("http://127.0.0.1:9", "key") as client:
        async with asyncio.timeout(PATIENCE_S / 2):
            with pytest.raises(Unreachable):
                await client.ready()


async def test_an_exchange_that_does_not_come_back_is_given_up_at_the_deadline(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock made up: on a slow machine the first request alone takes longer than all patience."""
    waits = made_up_clock(monkeypatch)
    async with client_over(stage, stage.cast.provider, patience_s=0.5) as (client, line):
        line.faults = ["back"] * 100
        with pytest.raises(Unreachable) as lost:
            await client.create_order(ask(stage, "given-up"))
        assert lost.value.is_lost
        # Waits of 0.05 s at least that double: half a second has room for four.
        assert 2 <= len(line.sent) == len(waits) + 1 <= 5
        line.faults = []
        await client.cancel_all_orders()


@pytest.mark.parametrize("faults", [["back"], ["back", "there"], ["back", "", "proxy"]])
async def test_what_was_lost_is_in_doubt_whatever_the_last_answer_says(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, faults: list[str]
) -> None:
    """The order rests; what is refused after it speaks of the attempts after the one that placed it."""
    made_up_clock(monkeypatch)
    [sequencer] = stage.house.exchange.partitions.leaders.values()
    partition = sequencer._partition  # type: ignore[attr-defined]
    name = f"in-doubt-{'-'.join(faults)}"
    async with client_over(stage, stage.cast.provider, patience_s=2.0) as (client, line):

        def rebuild() -> None:
            sequencer._partition = None  # type: ignore[attr-defined]

        line.faults, line.on_loss = [*faults], rebuild
        try:
            with pytest.raises(ApiProblem) as refused:
                await client.create_order(ask(stage, name))
        finally:
            sequencer._partition = partition  # type: ignore[attr-defined]
        assert line.answered[-1] == 503
        assert (refused.value.problem.code, refused.value.outcome) == ("rebuilding", "unknown")
        assert refused.value.problem.detail.endswith("what was sent before may have had its effect")
        assert refused.value.problem.detail in str(refused.value)
        assert (await client.create_order(ask(stage, name))).status == "resting"
        await client.cancel_all_orders()


async def test_a_batch_that_was_lost_is_in_doubt_order_by_order(stage: Stage) -> None:
    """Its orders rest; the second answer refuses each of them alone, and knows of the faulty one only."""
    [sequencer] = stage.house.exchange.partitions.leaders.values()
    partition = sequencer._partition  # type: ignore[attr-defined]
    orders = NewOrders(orders=[ask(stage, "batch-1"), ask(stage, "batch-2", product="nothing")])
    async with client_over(stage, stage.cast.provider) as (client, line):

        def rebuild() -> None:
            sequencer._partition = None  # type: ignore[attr-defined]

        line.faults, line.on_loss = ["back"], rebuild
        try:
            outcomes = await client.create_orders(orders)
            assert line.answered == [200]
            line.on_loss = lambda: None
            undoubted = await client.create_orders(orders)
        finally:
            sequencer._partition = partition  # type: ignore[attr-defined]
        problems = [each.problem for each in outcomes if each.problem is not None]
        assert [(each.code, each.outcome) for each in problems] == [
            ("rebuilding", "unknown"),
            ("invalid_body", "not_applied"),
        ]
        assert problems[0].detail.endswith("what was sent before may have had its effect")
        assert [each.problem.outcome for each in undoubted if each.problem] == ["not_applied"] * 2
        assert [order.client_order_id async for order in client.fetch_open_orders()] == ["batch-1"]
        await client.cancel_all_orders()


async def test_an_attempt_that_reached_nobody_leaves_no_doubt() -> None:
    """Refused connections and refusals that did nothing, in whichever order."""
    waits: list[float] = []

    async def wait(wait_s: float) -> None:
        waits.append(wait_s)

    refused = ApiProblem(Problem(status=503, retryable=True, outcome="not_applied"))
    nobody = Unreachable("refused", is_lost=True, outcome="not_applied")
    for last in (refused, nobody):
        left = [refused, nobody, refused, nobody]

        async def attempt(left: list[Exception] = left, last: Exception = last) -> None:
            raise left.pop() if left else last

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retrying, "monotonic_s", lambda: 1_000.0 + sum(waits))
            patch.setattr(asyncio, "sleep", wait)
            with pytest.raises(type(last)) as raised:
                await persist(attempt, 2.0)
        assert raised.value.outcome == "not_applied"  # type: ignore[attr-defined]


async def test_only_what_was_sent_and_changes_something_may_be_applied(stage: Stage) -> None:
    async with client_over(stage, stage.cast.provider, patience_s=0.0) as (client, line):
        for faults, outcome in ((["back"], "unknown"), (["proxy"], "unknown")):
            line.faults = [*faults]
            with pytest.raises(Unreachable) as lost:
                await client.cancel_all_orders()
            assert lost.value.outcome == outcome
            line.faults = [*faults]
            with pytest.raises(Unreachable) as lost:
                await client.me()
            assert lost.value.outcome == "not_applied"
    async with ExchangeClient("http://127.0.0.1:9", "key") as client:
        with pytest.raises(Unreachable) as lost:
            await client.cancel_all_orders()
        assert lost.value.outcome == "not_applied"


async def test_an_exchange_that_is_not_ready_is_asked_again(stage: Stage) -> None:
    async with client_over(stage, stage.cast.provider) as (client, line):
        [sequencer] = stage.house.exchange.partitions.leaders.values()
        partition, sequencer._partition = sequencer._partition, None  # type: ignore[attr-defined]

        def rebuilt(status: int) -> None:
            if status == 503:
                sequencer._partition = partition  # type: ignore[attr-defined]

        line.on_answer = rebuilt
        assert (await client.create_order(ask(stage, "rebuilt"))).status == "resting"
        assert line.answered == [503, 201]
        await client.cancel_all_orders()


async def test_who_sends_too_much_comes_back_when_it_was_told_to(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock made up, which only the client's waits move on: else a slow machine sends too little."""
    waits = made_up_waits(monkeypatch)
    limits = stage.house.exchange.watched.limits
    limiter = MemoryLimiter(lambda: round((1_000.0 + sum(waits)) * US_PER_SECOND))
    for name in ("_local", "_shared"):
        monkeypatch.setattr(limits, name, limiter)
    async with client_over(stage, stage.cast.provider) as (client, line):
        monkeypatch.setattr(limits, "_orders", Budget(("key-few", (1, 1), 1)))
        for _ in range(2):
            assert (await client.me()).kind == "provider"
    assert line.answered == [200, 429, 200]
    assert [wait_s for wait_s in waits if wait_s >= 1.0] == waits


failures = st.lists(
    st.one_of(
        st.just(Unreachable("lost", is_lost=True)),
        st.builds(
            lambda status, after_s: ApiProblem(Problem(status=status, retryable=True), after_s),
            st.sampled_from([409, 429, 503]),
            st.sampled_from([0.0, 0.0, 1.0, 7.0]),
        ),
    ),
    max_size=12,
)
last_failures = st.sampled_from(
    [
        None,
        Unreachable("never was there"),
        ApiProblem(Problem(status=422)),
        ApiProblem(Problem(status=429, retryable=False)),
        ApiProblem(Problem(status=500, retryable=True)),
    ]
)


@given(failed=failures, last=last_failures, patience_s=st.sampled_from([0.0, 0.5, 5.0, 60.0]))
def test_waits_double_by_chance_keep_to_what_was_asked_and_end_with_the_deadline(
    failed: list[Exception], last: Exception | None, patience_s: float
) -> None:
    waits: list[float] = []
    left = [*failed, last]

    async def attempt() -> str:
        failure = left.pop(0)
        if failure is not None:
            raise failure
        return "done"

    async def wait(wait_s: float) -> None:
        waits.append(wait_s)

    came: object
    cause: object = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrying, "monotonic_s", lambda: 1_000.0 + sum(waits))
        patch.setattr(asyncio, "sleep", wait)
        try:
            came = asyncio.run(persist(attempt, patience_s))
        except (ApiProblem, Unreachable) as failure:
            came, cause = failure, failure.__cause__
    tried = len(failed) + 1 - len(left)
    assert len(waits) == tried - 1
    assert sum(waits) <= patience_s
    for number, wait_s in enumerate(waits):
        asked_s = getattr(failed[number], "retry_after_s", 0.0)
        most_s = min(WAIT_S_MIN * 2**number, WAIT_S_MAX)
        assert max(asked_s, most_s / 2) <= wait_s <= max(asked_s, most_s)
    if left:
        # It was given up: with one more wait the deadline would have come.
        assert failed[tried - 1] in {came, cause}
        # A lost one among them leaves in doubt what came of it.
        is_in_doubt = any(isinstance(each, Unreachable) for each in failed[:tried])
        assert (getattr(came, "outcome", "") == "unknown") == is_in_doubt
        asked_s = getattr(came, "retry_after_s", 0.0)
        assert sum(waits) + max(asked_s, min(WAIT_S_MIN * 2 ** len(waits), WAIT_S_MAX)) >= patience_s
    else:
        assert ("done" if last is None else last) in {came, cause}
