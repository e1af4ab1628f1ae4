"""Goal: the list of leases can be narrowed to a product and to what is coming, running, ended or settled.

Method: over HTTP, the leases of a scene at every hour from before they begin until they are settled: each
filter gives exactly those of the whole list that say so of themselves.
"""

from collections.abc import AsyncIterator
from itertools import combinations

import pytest

from exchange.settlement.models import LeaseStatus
from tests.e2e.served import pointers, problem
from tests.e2e.stage import LOT_PRODUCT, PRODUCT, Stage, staged
from tests.market_world import reach_hour


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(module_database_url, tmp_path_factory.mktemp("leases")) as ready:
        yield ready


async def test_each_status_lists_the_leases_that_have_it(stage: Stage) -> None:
    me, buyer = stage.strangers.provider, stage.cast.buyer
    cheap = {"price_cny_per_gpu_hour": "4.00"}
    await me.post("/v1/orders", stage.order("sell", "lists", (0, 8), quantity_gpus=8, **cheap))
    for place, window in enumerate(((0, 1), (0, 3), (1, 2), (2, 6), (4, 7))):
        await buyer.post("/v1/orders", stage.order("buy", f"lists-{place}", window))
    met = set()
    for _ in range(10):
        everything = (await me.get("/v1/leases"))["data"]
        assert len(everything) == 5
        for count in (1, 2, 3):
            for wanted in combinations(LeaseStatus, count):
                found = (await me.get("/v1/leases", status=list(wanted), product=PRODUCT))["data"]
                assert found == [each for each in everything if each["status"] in wanted]
        met |= {each["status"] for each in everything}
        stage.house.pass_hours(1)
        await reach_hour(stage.house.exchange, stage.house.clock.hour())
    assert met == set(LeaseStatus)
    assert (await me.get("/v1/leases", product=LOT_PRODUCT))["data"] == []


async def test_what_is_no_status_is_named(stage: Stage) -> None:
    answer = await stage.cast.buyer.send("GET", "/v1/leases", params={"status": ["running", "gone"]})
    assert pointers(problem(answer, 422, "invalid_query")) == {"?status"}
