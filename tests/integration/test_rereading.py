"""Goal: what one process changes the others know, also when they could not be told of it.

Method: the whole exchange, and beside it connections of another process that publish list prices, programmes
and rules by the same use cases, and tell the exchange nothing. The server ends the listening connection
while that happens.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from exchange.kit.auth import Principal
from exchange.kit.database import Connection, ConnectionLost, Database
from exchange.kit.notices import Notices
from exchange.kit.rereading import Rereader
from exchange.participants.models import ParticipantKind
from exchange.products.list_price_models import NewListPrice
from exchange.products.list_prices import publish_list_price
from exchange.programmes.models import ProgrammeStatus
from tests.market_world import MarketWorld, open_market
from tests.voucher_world import VoucherWorld

DEADLINE_S = 60.0


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[MarketWorld]:
    async with open_market(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def beside(database_url: str) -> AsyncIterator[Database]:
    """Give the connections of another process."""
    other = await Database.connect(database_url, connections_min=1, application_name="beside")
    yield other
    await other.close()


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - nobody signals it
            await asyncio.sleep(0.005)


async def publish(beside: Database, provider: Principal, product: str, price: str) -> None:
    async with beside.transaction() as connection:
        await publish_list_price(
            connection, provider, product, NewListPrice(price_cny_per_gpu_hour=price), 10**15
        )


async def cut_all_but(beside: Database) -> None:
    async with beside.connection() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name <> 'beside'"
        )


async def test_a_list_price_that_another_process_published_goes_into_asks(
    world: MarketWorld, beside: Database
) -> None:
    provider, product = await world.join(ParticipantKind.PROVIDER), world.product()
    of, key = world.exchange.list_prices.of, (provider.participant_id, product)
    await publish(beside, provider, product, "5.00")
    await eventually(lambda: of(*key) == 500)
    ask = await world.ask(provider, product, price=400)
    assert ask.list_price_cny_per_gpu_hour == "5.00"
    await cut_all_but(beside)
    await publish(beside, provider, product, "6.00")
    await eventually(lambda: of(*key) == 600)


async def test_programmes_that_another_process_starts_and_opens_are_known(
    world: MarketWorld, beside: Database
) -> None:
    issuer, provider = await world.join(ParticipantKind.ISSUER), await world.join(ParticipantKind.PROVIDER)
    elsewhere = VoucherWorld(beside)
    programme = await elsewhere.programme(issuer, provider)
    known = world.exchange.programmes.knows
    await eventually(lambda: known(programme.id, 1))
    draft = await elsewhere.programme(issuer, provider, draft=True)
    await cut_all_but(beside)
    assert not known(draft.id, 1)
    await elsewhere.step_programme(issuer, draft, ProgrammeStatus.OPEN)
    await eventually(lambda: known(draft.id, 1))


class Reads:
    """What a rereader was asked to read; fails as often as it is told to."""

    def __init__(self) -> None:
        self.payloads: list[str | None] = []
        self.failures: list[Exception] = []

    async def read(self, _connection: Connection, payload: str | None) -> None:
        """Note what is read."""
        if self.failures:
            raise self.failures.pop()
        self.payloads.append(payload)


async def test_what_is_told_is_read_once_and_what_may_have_been_missed_is_read_whole(
    database: Database, beside: Database
) -> None:
    notices, reads = Notices(database), Reads()
    rereader = Rereader(database, notices, "of_a_test", reads.read)
    await notices.start()
    rereader.chore.start()
    await eventually(lambda: reads.payloads == [None])

    async def tell(*payloads: str) -> None:
        async with beside.transaction() as connection:
            for payload in payloads:
                await connection.execute("SELECT pg_notify('of_a_test', $1)", payload)

    await tell("a", "b", "a")
    await eventually(lambda: len(reads.payloads) == 3)
    assert reads.payloads == [None, "a", "b"]
    reads.failures += [ValueError("no row of ours"), ConnectionLost("cut", outcome="not_applied")]
    await tell("c")
    await eventually(lambda: len(reads.payloads) == 4)
    assert reads.payloads[3] is None
    await cut_all_but(beside)
    await eventually(lambda: len(reads.payloads) > 4)
    assert set(reads.payloads[4:]) == {None}
    await rereader.chore.stop()
    await notices.stop()
