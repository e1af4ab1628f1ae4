"""Goal: whoever withdraws an order and gets no answer learns what came of it, as far as anybody can say.

Method: the real client on a served exchange, over a line that loses the cancel or its answer; the order is
withdrawn, replaced, sold or over before, and can be read or not.
"""

from collections.abc import AsyncIterator

import pytest

from exchange.client import ApiProblem
from exchange.orders import store as order_store
from exchange.orders.models import AmendOrder
from tests.e2e.lossy_line import ask, client_over, made_up_clock
from tests.e2e.served import served
from tests.e2e.stage import Stage, join_all


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with served(module_database_url, tmp_path_factory.mktemp("client_cancels")) as house:
        yield Stage(house, await join_all(house), await join_all(house))


@pytest.mark.parametrize("faults", [[], ["back"], ["there"]])
async def test_an_order_that_was_replaced_is_not_told_as_withdrawn(stage: Stage, faults: list[str]) -> None:
    """Its heir rests: to believe that the cancel came through would leave it there."""
    name = "-".join(["heir", *faults])
    async with client_over(stage, stage.cast.provider) as (client, line):
        placed = await client.create_order(ask(stage, name))
        heir = await client.edit_order(placed.id, AmendOrder(price_cny_per_gpu_hour="4.44"))
        assert heir.replaces == placed.id
        line.faults = [*faults]
        with pytest.raises(ApiProblem) as refused:
            await client.cancel_order(placed.id)
        assert [fault.value for fault in refused.value.problem.errors] == [heir.id]
        assert (await client.cancel_order(heir.id)).status == "cancelled"


@pytest.mark.parametrize(
    "is_told,expected",
    [(True, ("cancelled_not_read", "applied")), (False, ("order_not_live", "unknown"))],
    ids=["told", "untold"],
)
async def test_a_cancel_that_was_lost_and_whose_order_cannot_be_read_says_what_is_known(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, is_told: bool, expected: tuple[str, str]
) -> None:
    """That the order is over is no news of the cancel, which may be what ended it; how it ended is."""
    made_up_clock(monkeypatch)

    async def fail(*_: object) -> None:
        raise ConnectionResetError("now")

    async with client_over(stage, stage.cast.provider, patience_s=2.0) as (client, line):
        placed = await client.create_order(ask(stage, f"unread-{is_told}"))
        line.faults, line.sent = ["back", "", *["there"] * 100], []
        with monkeypatch.context() as patch:
            if not is_told:
                patch.setattr(order_store, "order_of_participant", fail)
            with pytest.raises(ApiProblem) as refused:
                await client.cancel_order(placed.id)
        assert {method for method, _ in line.sent[2:]} == {"GET"}
        assert (refused.value.problem.code, refused.value.outcome) == expected
        line.faults = []
        assert (await client.fetch_order(placed.id)).status == "cancelled"


async def test_a_key_that_may_not_read_learns_what_came_of_a_cancel_that_was_lost(stage: Stage) -> None:
    cast = stage.cast
    key = await stage.operator.key_of(cast.provider.id, ["list_capacity"])
    async with client_over(stage, cast.provider.with_key(key["secret"])) as (client, line):
        gone = await client.create_order(ask(stage, "blind-gone"))
        line.faults = ["back"]
        with pytest.raises(ApiProblem) as refused:
            await client.cancel_order(gone.id)
        assert (refused.value.problem.code, refused.value.outcome) == ("cancelled_not_read", "applied")
        assert refused.value.problem.status == 503  # as when the exchange itself could not read it
        assert "cancelled (requested)" in refused.value.problem.detail
        deposit = {"participant_id": cast.buyer.id, "amount_cny": "16.00"}
        await stage.operator.post("/v1/deposits", deposit)
        sold = await client.create_order(ask(stage, "blind-sold", price_cny_per_gpu_hour="2.00"))
        bid = stage.order("buy", "blind-bid", (0, 4), price_cny_per_gpu_hour="2.00")
        assert (await cast.buyer.post("/v1/orders", bid))["status"] == "filled"
        line.faults, line.sent = ["there"], []
        with pytest.raises(ApiProblem) as refused:
            await client.cancel_order(sold.id)
        assert (refused.value.problem.code, refused.value.outcome) == ("order_not_live", "not_applied")
        assert [fault.value for fault in refused.value.problem.errors] == ["filled"]
        assert [method for method, _ in line.sent] == ["DELETE", "DELETE"]


async def test_a_cancel_that_did_nothing_before_is_not_what_ended_the_order(stage: Stage) -> None:
    [sequencer] = stage.house.exchange.partitions.leaders.values()
    async with client_over(stage, stage.cast.provider) as (client, line):
        placed = await client.create_order(ask(stage, "over"))
        await client.cancel_order(placed.id)
        partition, sequencer._partition = sequencer._partition, None  # type: ignore[attr-defined]

        def rebuilt(_status: int) -> None:
            sequencer._partition = partition  # type: ignore[attr-defined]

        line.answered, line.on_answer = [], rebuilt
        with pytest.raises(ApiProblem) as refused:
            await client.cancel_order(placed.id)
        assert line.answered == [503, 409]
        assert (refused.value.problem.code, refused.value.outcome) == ("order_not_live", "not_applied")
