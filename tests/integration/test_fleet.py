"""Goal: a gateway and an engine are to their callers what one process is, and nothing is done twice or lost.

Method: real PostgreSQL and Redis, all processes in one event loop, their clock driven by hand. One scenario
runs in one process and over Redis, and every answer must be the same but for ids and times. Then requests
meet nobody, come twice or too late, or cannot be read or committed.
"""

import asyncio
import re
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.app import Exchange
from exchange.fleet import link
from exchange.fleet.codec import read_answers, write_letters, write_request
from exchange.fleet.roles import why_not
from exchange.fleet.streams import answers_stream, intake_stream
from exchange.kit.auth import Principal
from exchange.kit.bundle import Bundle
from exchange.kit.errors import NOTHING_BY_THIS, Faults, Refusal, Unavailable
from exchange.kit.ids import decode_id
from exchange.kit.redis import Redis, StreamReader
from exchange.kit.settings import Settings
from exchange.monitoring.collect import exposition
from exchange.orders.chunks import Chunk
from exchange.orders.models import CancelAllRequest, OrderStatus, PlacedOrder
from exchange.participants.models import ParticipantKind
from matching.order import Side
from matching.product import Phase
from tests.integration.fleets import DEADLINE_S, Fleet, answered, eventually
from tests.market_world import MarketWorld, open_market
from tests.redis_servers import RedisServer


@pytest.fixture
def fleet(database_url: str, redis_url: str, tmp_path: Path) -> Fleet:
    return Fleet(database_url, redis_url, tmp_path)


class Told:
    """What a scenario was answered, without what differs between two runs of it."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self._names: dict[str, str] = {}

    def _named(self, text: str) -> str:
        for prefix in ("ord", "trd"):
            if decode_id(prefix, text) is not None:
                return self._names.setdefault(text, f"{prefix}-{len(self._names)}")
        return text

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._plain(each) for key, each in value.items() if not key.endswith("ed_at")}
        if isinstance(value, list | tuple):
            return [self._plain(each) for each in value]
        return self._named(value) if isinstance(value, str) else value

    def add(self, answer: object) -> None:
        """Take an answer in."""
        if isinstance(answer, Refusal):
            words = [self._named(word) for word in answer.detail.split()]
            faults = [msgspec.to_builtins(fault) for fault in answer.errors]
            self.answers.append(
                [type(answer).__name__, answer.code, words, faults, answer.outcome, answer.retryable]
            )
        else:
            self.answers.append(self._plain(msgspec.to_builtins(answer)))

    async def of(self, asked: Awaitable[object]) -> Any:
        """Add what comes of something asked, and return it."""
        try:
            answer = await asked
        except Refusal as refusal:
            answer = refusal
        self.add(answer)
        return answer


async def scenario(world: MarketWorld) -> list[object]:
    """Trade in every way there is, and return all that was answered."""
    told, orders = Told(), world.exchange.orders
    provider, buyer = await world.traders(200_000)
    stranger = await world.join(ParticipantKind.BUYER)
    product, other = sorted(world.exchange.products)[:2]

    def order(side: Side, name: str, **fields: Any) -> Any:
        return world.order(side, product, client_order_id=name, **{"price": 200, **fields})

    async def placed(owner: Principal, side: Side, name: str, **fields: Any) -> Any:
        return await told.of(orders.place(owner, order(side, name, **fields)))

    lot = world.exchange.products[product].lot_gpus
    ask = await placed(provider, Side.SELL, "ask", quantity_gpus=10 * lot)
    await placed(provider, Side.SELL, "ask", quantity_gpus=10 * lot)
    await placed(provider, Side.SELL, "ask", quantity_gpus=11 * lot)
    bid = await placed(buyer, Side.BUY, "bid", quantity_gpus=2 * lot)
    assert bid.view.status is OrderStatus.FILLED
    resting = await placed(buyer, Side.BUY, "rest", window=(50, 53), quantity_gpus=3 * lot)
    await placed(buyer, Side.BUY, "too dear", quantity_gpus=1000 * lot)
    await placed(buyer, Side.BUY, "fok", quantity_gpus=100 * lot, time_in_force="fok", window=(0, 1))
    for _ in range(2):
        await placed(provider, Side.SELL, "beyond the collar", price=10**9)
    await placed(stranger, Side.BUY, "poor")
    await placed(stranger, Side.SELL, "wrong side")
    await told.of(world.amend(buyer, resting.view, once_key="shrink", quantity_gpus=2 * lot))
    await told.of(world.amend(buyer, resting.view, once_key="shrink", quantity_gpus=2 * lot))
    await told.of(world.amend(buyer, resting.view, once_key="none", quantity_gpus=10_000 * lot))
    await told.of(world.amend(buyer, resting.view, once_key="move", window=(51, 54)))
    await told.of(world.amend(stranger, resting.view, once_key="theft", quantity_gpus=lot))
    ask_id, bid_id = (decode_id("ord", each.view.id) for each in (ask, bid))
    assert ask_id is not None
    assert bid_id is not None
    for owner, order_id in ((buyer, bid_id), (stranger, ask_id), (provider, ask_id), (provider, ask_id)):
        await told.of(orders.cancel(owner, order_id))
    many = [
        (order(Side.SELL, f"many-{number}", window=(number, number + 2)), Faults()) for number in range(40)
    ]
    many += [(order(Side.SELL, "ask"), Faults()), (order(Side.SELL, "odd", window=(-2, 1)), Faults())]
    for answer in await orders.place_all(provider, many):
        told.add(answer)
    for owner in (provider, buyer):
        withdrawn = await orders.cancel_all(owner, side=Side.SELL)
        told.add([(each.order.client_order_id, each.remaining_gpu_hours) for each in withdrawn])
    operator = await world.join(ParticipantKind.OPERATOR)
    await told.of(orders.set_phase(operator, product, Phase.HALTED))
    await placed(provider, Side.SELL, "halted")
    await told.of(orders.place(provider, world.order(Side.SELL, other, client_order_id="other")))
    await world.pass_hours(1)
    for owner in (provider, buyer):
        for view in await orders.page(owner, limit=100):
            told.add(view)
    return told.answers


async def test_a_gateway_answers_as_one_process_does(
    module_database_url: str, fleet: Fleet, tmp_path: Path
) -> None:
    async with open_market(module_database_url, tmp_path / "one") as world:
        expected = await scenario(world)
    assert len(expected) > 100
    async with fleet.engine(), fleet.market() as world:
        answers = await scenario(world)
        assert await world.differences() == []
        await world.exchange.orders.verify()
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer == wanted


async def test_each_process_tells_what_was_lost_between_them(fleet: Fleet, redis_url: str) -> None:
    """A stream is lost, a commit does not fit a gateway's books, the feed does not reach Redis."""

    def losses(exchange: Exchange) -> dict[str, int]:
        told = re.findall(r'exchange_fleet_losses_total{kind="(.*)"} (.*)', exposition(exchange.watched))
        return {kind: int(count) for kind, count in told}

    async with fleet.engine() as engine, fleet.market() as world:
        gateway = world.exchange
        provider = await world.join(ParticipantKind.PROVIDER)
        await world.ask(provider, world.product())
        assert losses(engine) == {"feed": 0, "streams": 0}
        assert losses(gateway) == {"books": 0, "streams": 0}
        gateway.partitions.leaders[1].book(world.product()).orders.clear()
        await gateway.orders.cancel_all(provider)
        await eventually(lambda: losses(gateway)["books"] == 1)
        redis = Redis.at(redis_url)
        await redis.run("FLUSHALL")
        await redis.close()
        await eventually(lambda: losses(engine)["streams"] > 0)
        await eventually(lambda: losses(gateway)["streams"] > 0)


async def stored_orders(world: MarketWorld) -> dict[str, int]:
    """Count the rows of orders by client order id."""
    async with world.database.connection() as connection:
        rows = await connection.fetch("SELECT client_order_id, count(*) FROM orders GROUP BY 1")
    return {row["client_order_id"]: row["count"] for row in rows}


async def offset_moved(world: MarketWorld, before: str) -> str:
    """Return the offset of the one partition, once it is another than before."""
    async with asyncio.timeout(DEADLINE_S), world.database.connection() as connection:
        while (offset := await connection.fetchval("SELECT intake_offset FROM partition_head")) == before:  # noqa: ASYNC110 - only the database knows
            await asyncio.sleep(0.01)
    assert isinstance(offset, str)
    return offset


async def test_a_request_that_waited_too_long_has_no_effect(fleet: Fleet) -> None:
    async with fleet.engine(), fleet.market() as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        await world.ask(provider, world.product(), client_order_id="first")
    async with fleet.engine() as first, fleet.market(patience_s=1) as world:
        before = await offset_moved(world, "")
        await first.partitions.stop()
        with pytest.raises(Unavailable) as refused:
            await world.ask(provider, world.product(), client_order_id="late")
        assert (refused.value.outcome, refused.value.retryable) == ("unknown", True)
        async with fleet.opened("engine", patience_s=1):
            await offset_moved(world, before)
            assert await stored_orders(world) == {"first": 1}
            await eventually(lambda: world.exchange.orders.is_ready)
            late = await answered(lambda: world.ask(provider, world.product(), client_order_id="late"))
            assert late.sequence is not None


async def test_nothing_is_handed_over_where_nobody_has_led_for_long(fleet: Fleet) -> None:
    async with fleet.engine() as engine, fleet.market(patience_s=1) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        await engine.partitions.stop()
        assert not engine.partitions.leaders[1].is_ready
        await eventually(lambda: world.exchange.troubles() == ["partition 1: no engine leads it"])

        async def refusal() -> Unavailable:
            with pytest.raises(Unavailable) as refused:
                await world.ask(provider, world.product())
            return refused.value

        async with asyncio.timeout(DEADLINE_S):
            while (await refusal()).code != "no_leader":
                pass
        assert (await refusal()).outcome == "not_applied"


async def test_what_a_gateway_could_not_hand_over_speaks_of_no_request_before_it(
    fleet: Fleet, redis_server: RedisServer
) -> None:
    """The first one is committed after its answer could no longer come; Redis is gone by the second."""
    async with fleet.engine(), fleet.market(patience_s=1) as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        order = world.order(Side.SELL, world.product(), client_order_id="twice")
        async with world.database.transaction() as holding:
            await holding.execute("LOCK TABLE partition_head IN EXCLUSIVE MODE")
            with pytest.raises(Unavailable) as unanswered:
                await world.exchange.orders.place(provider, order)
            assert (unanswered.value.outcome, unanswered.value.retryable) == ("unknown", True)
            redis_server.kill()
            try:
                with pytest.raises(Unavailable) as refused:
                    await world.exchange.orders.place(provider, order)
            finally:
                redis_server.start()
        assert (refused.value.outcome, refused.value.retryable) == ("not_applied", True)
        assert NOTHING_BY_THIS in refused.value.detail
        async with asyncio.timeout(DEADLINE_S):
            while await stored_orders(world) != {"twice": 1}:
                pass


async def test_what_comes_twice_has_one_effect_and_what_cannot_be_read_none(
    fleet: Fleet, redis_url: str
) -> None:
    redis = Redis.at(redis_url)
    async with fleet.engine(), fleet.market() as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        await world.ask(provider, world.product(), client_order_id="once")
        await redis.append(intake_stream(1), b"nothing that anybody wrote")
        everything = CancelAllRequest(participant_id=provider.participant_id, key_id=provider.key_id)
        cancel = write_letters("elsewhere", [(7, write_request(everything))])
        unreadable = write_letters("elsewhere", [(8, msgspec.Raw(b"\xc0")), (9, write_request(everything))])
        before = await offset_moved(world, "")
        for entry in (cancel, unreadable):
            await redis.append(intake_stream(1), entry)
            before = await offset_moved(world, before)
        await world.ask(provider, world.product(), client_order_id="stays")
        await redis.append(intake_stream(1), cancel)
        await world.ask(provider, world.product(), client_order_id="after")
        orders = {each.client_order_id: each for each in await world.exchange.orders.page(provider, limit=10)}
        assert {name: each.status for name, each in orders.items()} == {
            "once": OrderStatus.CANCELLED,
            "stays": OrderStatus.RESTING,
            "after": OrderStatus.RESTING,
        }
        answers = StreamReader(redis, answers_stream("elsewhere"), entries_max=10)
        told = [each for entry in (await answers.read(1.0)).entries for each in read_answers(entry.data)]
        assert [(number, type(outcome).__name__) for number, outcome in told] == [
            (7, "AllCancelled"),
            (8, "Refused"),
            (9, "AllCancelled"),
        ]
    await redis.close()


async def test_what_the_database_refuses_is_not_done_by_the_next_leader(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles = Chunk.bundles

    async def broken(chunk: Chunk) -> list[Bundle]:
        of_chunk = await bundles(chunk)
        if any(order.client_order_id == "poison" for order in chunk.orders.values()):
            await of_chunk[0].execute("SELECT 1 / 0")
        return of_chunk

    async with fleet.market_with_engine() as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        monkeypatch.setattr(Chunk, "bundles", broken)
        names = [f"good-{number}" for number in range(5)]
        asked = [
            world.ask(provider, world.product(), client_order_id=name)
            for name in [*names[:3], "poison", *names[3:]]
        ]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        [refusal] = [each for each in outcomes if isinstance(each, BaseException)]
        assert isinstance(refusal, Unavailable)
        assert (refusal.code, refusal.outcome) == ("not_committed", "not_applied")
    monkeypatch.undo()
    async with fleet.market_with_engine() as world:
        await world.ask(provider, world.product(), client_order_id="next")
        assert await stored_orders(world) == dict.fromkeys([*names, "next"], 1)


async def test_more_than_a_gateway_can_remember_is_refused_whole(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fleet.market_with_engine() as world:
        provider = await world.join(ParticipantKind.PROVIDER)
        monkeypatch.setattr(link, "UNANSWERED_MAX", 3)
        orders = [(world.order(Side.SELL, world.product()), Faults()) for _ in range(4)]
        refused = await world.exchange.orders.place_all(provider, orders)
        assert {(each.code, each.outcome) for each in refused if isinstance(each, Unavailable)} == {
            ("overloaded", "not_applied")
        }
        placed = await world.exchange.orders.place_all(provider, orders[:3])
        assert all(isinstance(each, PlacedOrder) for each in placed)
        assert len(await stored_orders(world)) == 3


def test_a_process_of_several_names_its_database_and_redis(tmp_path: Path) -> None:
    whole = Settings(role="engine", database_url="postgresql://h/d", redis_url="redis://h", data_dir=tmp_path)
    assert why_not(whole) == ""
    assert "DATABASE_URL" in why_not(msgspec.structs.replace(whole, redis_url=None))
    assert "DATABASE_URL" in why_not(msgspec.structs.replace(whole, database_url=None))
    assert "--hour-seconds" in why_not(msgspec.structs.replace(whole, seconds_per_hour=1.0))
    assert why_not(Settings(seconds_per_hour=1.0)) == ""
