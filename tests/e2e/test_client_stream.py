"""Goal: whoever uses the client's stream places and follows orders as if no connection were ever lost.

Method: the real client on a served exchange whose connections are cut; what the client keeps of its orders is
compared with what HTTP says of them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from exchange.cli.failures import ExitCode
from exchange.client import ApiProblem, ExchangeClient, OrderStream, OwnOrders, Unreachable
from exchange.feed.channels import Channels
from exchange.feed.hub import Closing
from exchange.feed.models import Snapshot
from exchange.feed.stream_models import Follow
from exchange.kit.database import Database
from exchange.kit.errors import RateLimited, Unavailable
from exchange.kit.http_wire import Wire, WireLimits
from exchange.kit.ids import decode_id
from exchange.orders.many_models import NewOrders
from exchange.orders.models import AmendOrder, NewOrder
from tests.databases import patient_locks
from tests.e2e.served import DEADLINE_S, Caller, Served, eventually, served
from tests.e2e.stage import PRODUCT, Stage, join_all


@pytest.fixture(scope="module")
async def stage(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("client_stream")
    with patient_locks():
        async with served(module_database_url, folder) as house:
            stage = Stage(house, await join_all(house), await join_all(house))
            deposit = {"participant_id": stage.cast.buyer.id, "amount_cny": "100000.00"}
            await house.operator.post("/v1/deposits", deposit)
            yield stage


def ask(stage: Stage, name: str, **more: object) -> NewOrder:
    return msgspec.convert(stage.order("sell", name, (0, 4), **more), NewOrder)


@asynccontextmanager
async def client_of(house: Served, caller: Caller) -> AsyncIterator[ExchangeClient]:
    async with ExchangeClient(str(house.http.base_url), caller.key) as client:
        yield client


async def keep(stream: OrderStream, books: OwnOrders) -> None:
    """Keep one's books for as long as there are events."""
    async for event in stream.events():
        books.apply(event)


async def test_every_request_of_the_stream(stage: Stage) -> None:
    async with client_of(stage.house, stage.cast.provider) as client, client.stream() as stream:
        placed = await stream.create_order(ask(stage, "req-1"))
        assert placed == await client.fetch_order(placed.id)
        assert await stream.create_order(ask(stage, "req-1")) == placed
        kept = await stream.edit_order(placed.id, AmendOrder(quantity_gpus=1))
        assert (kept.priority, kept.quantity_gpus) == ("kept", 1)
        outcomes = await stream.create_orders(NewOrders(orders=[ask(stage, "req-2"), ask(stage, "req-1")]))
        assert [each.status for each in outcomes] == [201, 422 if outcomes[1].problem else 201]
        assert (await stream.cancel_order(placed.id)).status == "cancelled"
        with pytest.raises(ApiProblem) as refused:
            await stream.cancel_order(placed.id)
        assert refused.value.problem.code == "order_not_live"
        with pytest.raises(ApiProblem) as refused:
            await stream.create_order(ask(stage, "req-3", quantity_gpus=10**6, product="nothing"))
        assert [fault.pointer for fault in refused.value.problem.errors] == ["/product"]
        assert (await stream.cancel_all_orders_after(60)).cancels_at is not None
        assert (await stream.cancel_all_orders_after(0)).cancels_at is None
        withdrawn = await stream.cancel_all_orders(product=PRODUCT)
        assert [each.client_order_id for each in withdrawn] == ["req-2"]


async def test_a_client_that_is_cut_off_again_and_again_keeps_its_books(stage: Stage) -> None:
    house, books = stage.house, OwnOrders()
    hub = house.exchange.relay.hub
    async with client_of(house, stage.cast.provider) as client, client.stream("orders") as stream:
        keeping = asyncio.create_task(keep(stream, books))
        for number in range(12):
            placed = await stream.create_order(ask(stage, f"cut-{number}"))
            if number % 3 == 0:
                hub.close_all(Closing.MISSED)
            body = stage.order("buy", f"cut-{number}", (0, 2), quantity_gpus=1)
            await stage.cast.buyer.post("/v1/orders", body)
            if number % 4 == 0:
                await client.cancel_order(placed.id)
        assert stream.connections > 3
        there = {each.id: each async for each in client.fetch_orders(limit=1000)}
        own = {order_id for order_id, each in there.items() if each.client_order_id.startswith("cut-")}

        async def differing() -> list[str]:
            return [
                order_id
                for order_id in own
                if order_id not in books.orders
                or (books.orders[order_id].status, books.orders[order_id].filled_gpu_hours)
                != (there[order_id].status, there[order_id].filled_gpu_hours)
                or {each.trade_id for each in books.orders[order_id].fills}
                != {each.trade_id for each in there[order_id].fills}
            ]

        await eventually(differing, lambda found: not found)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await stream.cancel_all_orders()


async def test_a_request_whose_answer_is_lost_is_sent_again_where_it_has_one_effect(stage: Stage) -> None:
    house = stage.house
    async with client_of(house, stage.cast.provider) as client, client.stream() as stream:
        async with house.exchange.database.transaction() as holding:
            await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
            asking = asyncio.create_task(stream.create_order(ask(stage, "lost")))
            await eventually(lambda: _waiting(house), lambda count: count > 0)
            house.exchange.relay.hub.close_all(Closing.MISSED)
            await eventually(lambda: _connections(stream), lambda count: count == 2)
        assert ((await asking).status, stream.connections) == ("resting", 2)
        async with house.exchange.database.transaction() as holding:
            await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
            asking_all = asyncio.create_task(stream.cancel_all_orders())
            await eventually(lambda: _waiting(house), lambda count: count > 0)
            house.exchange.relay.hub.close_all(Closing.MISSED)
            with pytest.raises(Unreachable):
                await asking_all
        same = [each async for each in client.fetch_orders(limit=1000, client_order_id="lost")]
        assert len(same) == 1
        await stream.cancel_all_orders()


async def test_what_was_sent_before_stays_in_doubt_whatever_the_last_answer_says(stage: Stage) -> None:
    """The order rests; what is refused is the attempt after the one that placed it."""
    house = stage.house
    [sequencer] = house.exchange.partitions.leaders.values()
    partition = sequencer._partition  # type: ignore[attr-defined]
    async with (
        ExchangeClient(str(house.http.base_url), stage.cast.provider.key, patience_s=2.0) as client,
        client.stream() as stream,
    ):
        async with house.exchange.database.transaction() as holding:
            await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
            asking = asyncio.create_task(stream.create_order(ask(stage, "doubted")))
            await eventually(lambda: _waiting(house), lambda count: count > 0)
            sequencer._partition = None  # type: ignore[attr-defined]
            house.exchange.relay.hub.close_all(Closing.MISSED)
            await eventually(lambda: _connections(stream), lambda count: count == 2)
            try:
                with pytest.raises(ApiProblem) as refused:
                    await asking
            finally:
                sequencer._partition = partition  # type: ignore[attr-defined]
        assert (refused.value.problem.code, refused.value.outcome) == ("rebuilding", "unknown")
        placed = await stream.create_order(ask(stage, "doubted"))
        assert placed.status == "resting"
        assert [each.id async for each in client.fetch_open_orders(limit=1000)] == [placed.id]
        await stream.cancel_all_orders()


async def test_a_batch_that_was_lost_is_in_doubt_order_by_order(stage: Stage) -> None:
    """Its order rests; what is refused, inside an answer that is a success, is the attempt after it."""
    house = stage.house
    [sequencer] = house.exchange.partitions.leaders.values()
    partition = sequencer._partition  # type: ignore[attr-defined]
    orders = NewOrders(orders=[ask(stage, "lost-batch"), ask(stage, "faulty", product="nothing")])
    async with client_of(house, stage.cast.provider) as client, client.stream() as stream:
        async with house.exchange.database.transaction() as holding:
            await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
            asking = asyncio.create_task(stream.create_orders(orders))
            await eventually(lambda: _waiting(house), lambda count: count > 0)
            sequencer._partition = None  # type: ignore[attr-defined]
            house.exchange.relay.hub.close_all(Closing.MISSED)
            try:
                outcomes = await asking
            finally:
                sequencer._partition = partition  # type: ignore[attr-defined]
        assert [(each.problem.code, each.problem.outcome) for each in outcomes if each.problem] == [
            ("rebuilding", "unknown"),
            ("invalid_body", "not_applied"),
        ]
        placed = await stream.create_order(ask(stage, "lost-batch"))
        assert [each.id async for each in client.fetch_open_orders(limit=1000)] == [placed.id]
        await stream.cancel_all_orders()


async def test_a_cancel_whose_answer_is_lost_is_told_as_done(stage: Stage) -> None:
    """The attempt after it finds the order over, by the one before; of a replaced one the heir rests."""
    house = stage.house
    async with client_of(house, stage.cast.provider) as client, client.stream() as stream:
        gone = await stream.create_order(ask(stage, "cancel-lost"))
        old = await stream.create_order(ask(stage, "cancel-replaced"))
        heir = await stream.edit_order(old.id, AmendOrder(price_cny_per_gpu_hour="4.44"))
        async with house.exchange.database.transaction() as holding:
            await holding.execute("LOCK TABLE journal IN EXCLUSIVE MODE")
            asking = asyncio.create_task(stream.cancel_order(gone.id))
            asking_old = asyncio.create_task(stream.cancel_order(old.id))
            await eventually(lambda: _waiting(house), lambda count: count > 0)
            house.exchange.relay.hub.close_all(Closing.MISSED)
            await eventually(lambda: _connections(stream), lambda count: count == 2)
        assert (await asking).status == "cancelled"
        with pytest.raises(ApiProblem) as refused:
            await asking_old
        assert (refused.value.problem.code, refused.value.outcome) == ("order_not_live", "not_applied")
        with pytest.raises(ApiProblem) as refused:
            await stream.cancel_order(gone.id)
        assert (refused.value.problem.code, refused.value.outcome) == ("order_not_live", "not_applied")
        assert (await stream.cancel_order(heir.id)).status == "cancelled"


@pytest.mark.parametrize("key", ["cx_0000000000001_wrong", "rubbish"])
async def test_a_refused_handshake_is_the_exchanges_problem(stage: Stage, key: str) -> None:
    async with ExchangeClient(str(stage.house.http.base_url), key) as client:
        with pytest.raises(ApiProblem) as refused:
            async with client.stream("orders"):
                pass
    problem = refused.value.problem
    assert (problem.status, problem.code, problem.outcome) == (401, "unauthenticated", "not_applied")
    assert problem.request_id


async def test_a_connection_that_is_refused_for_now_is_asked_for_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = stage.house.exchange.watched.limits
    refusals = [
        RateLimited(detail="later", headers={"Retry-After": "0"}),
        Unavailable(detail="not now"),
        RateLimited(detail="never", retryable=False),
    ]

    def refuse(*_: object) -> None:
        raise refusals.pop(0)

    async with client_of(stage.house, stage.cast.provider) as client, client.stream("orders") as stream:
        admit = limits.admit_address

        def refuse_twice(*asked: Any) -> None:
            if len(refusals) > 1:
                refuse()
            admit(*asked)

        monkeypatch.setattr(limits, "admit_address", refuse_twice)
        stage.house.exchange.relay.hub.close_all(Closing.MISSED)
        await eventually(lambda: _connections(stream), lambda count: count == 2)
        assert (await stream.create_order(ask(stage, "let-in"))).status == "resting"
        monkeypatch.setattr(limits, "admit_address", refuse)
        stage.house.exchange.relay.hub.close_all(Closing.MISSED)
        with pytest.raises(ApiProblem) as refused:
            async for _ in stream.events():
                pass
        assert (refused.value.problem.status, refused.value.problem.detail) == (429, "never")
    async with client_of(stage.house, stage.cast.provider) as client:
        monkeypatch.setattr(limits, "admit_address", admit)
        await client.cancel_all_orders()


async def _connections(stream: OrderStream) -> int:
    return stream.connections


async def _readers(house: Served) -> int:
    return house.exchange.relay.hub.readers


async def _waiting(house: Served) -> int:
    async with house.exchange.database.connection() as connection:
        found: int = await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return found


async def test_orders_go_with_their_stream_where_that_was_asked_for(stage: Stage) -> None:
    async with client_of(stage.house, stage.cast.provider) as client:
        async with client.stream(cancel_on_disconnect=True) as stream:
            placed = await stream.create_order(ask(stage, "goes"))
        gone = await eventually(
            lambda: client.fetch_order(placed.id), lambda order: order.status != "resting"
        )
        assert (gone.status, gone.reason) == ("cancelled", "cancel_on_disconnect")


async def test_a_stop_withdraws_before_it_ends(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with served(database_url, tmp_path_factory.mktemp("stop")) as house:
        stage = Stage(house, await join_all(house), await join_all(house))
        async with (
            client_of(house, stage.cast.provider) as client,
            client.stream(cancel_on_disconnect=True) as stream,
        ):
            orders = NewOrders(orders=[ask(stage, f"stop-{number}") for number in range(600)])
            outcomes = await stream.create_orders(orders)
            assert {each.status for each in outcomes} == {201}
            await client.create_order(ask(stage, "stays"))
            house.stopping.set()
            await eventually(lambda: _readers(house), lambda count: count == 0)
    database = await Database.connect(database_url, connections_min=1)
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT client_order_id FROM orders WHERE status = 'resting'")
    await database.close()
    assert [row["client_order_id"] for row in rows] == ["stays"]


async def test_a_channel_that_is_none_is_told(stage: Stage) -> None:
    async with client_of(stage.house, stage.cast.provider) as client, client.stream("weather") as stream:
        with pytest.raises(ApiProblem) as refused:
            await anext(stream.events())
        assert [fault.code for fault in refused.value.problem.errors] == ["unknown_channel"]


async def test_a_bad_key_and_nobody_there_are_told_at_once(stage: Stage) -> None:
    wrong = stage.cast.provider.with_key("cx_0000000000001_wrong")
    async with client_of(stage.house, wrong) as client:
        with pytest.raises(ApiProblem):
            async with client.stream("orders"):
                pass
    async with ExchangeClient("http://127.0.0.1:9") as client:
        with pytest.raises(Unreachable):
            async with client.stream("orders"):
                pass


async def test_an_address_that_cannot_be_ends_the_stream_and_nobody_waits(stage: Stage) -> None:
    async with ExchangeClient("http://127.0.0.1:99999", stage.cast.provider.key) as client:
        with pytest.raises(ValueError, match=r"[Pp]ort"):
            async with client.stream():
                pass


async def test_a_key_that_ends_ends_its_stream_for_good(stage: Stage) -> None:
    provider = stage.cast.provider
    other = await stage.operator.key_of(provider.id, ["read", "list_capacity"])
    key = provider.with_key(other["secret"])
    async with client_of(stage.house, key) as client, client.stream("orders") as stream:
        events = stream.events()
        assert isinstance(await anext(events), Snapshot)
        key_id = decode_id("key", other["id"])
        assert key_id is not None
        stage.house.exchange.relay.hub.close_key(key_id)
        with pytest.raises(ApiProblem) as ended:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    await anext(events)
        assert ended.value.problem.status == 401
        with pytest.raises(ApiProblem):
            await stream.create_order(ask(stage, "too-late"))


async def test_a_line_that_is_cut_without_a_word_is_noticed_by_pings(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wire = Wire(WireLimits(ping_s=0.2))
    async with served(database_url, tmp_path_factory.mktemp("pings"), wire=wire) as house:
        url = house.http.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        # From here on this side answers nothing.
        async with asyncio.timeout(DEADLINE_S):
            frames = await reader.read()
        assert frames[:1] == b"\x89"  # it was asked
        assert b"keepalive ping timeout" in frames
        writer.close()


async def test_the_command_line_watches_orders(stage: Stage) -> None:
    async with client_of(stage.house, stage.cast.provider) as client:
        placed = await client.create_order(ask(stage, "watched"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "exchange",
            "orders",
            "watch",
            "--json",
            "--limit",
            "4",
            env={"EXCHANGE_URL": str(stage.house.http.base_url), "EXCHANGE_KEY": stage.cast.provider.key},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        lines = [await process.stdout.readline()]
        await client.cancel_order(placed.id)
        lines += [await process.stdout.readline() for _ in range(1)]
        await client.create_order(ask(stage, "watched-2"))
        lines += [await process.stdout.readline() for _ in range(2)]
        assert await process.wait() == ExitCode.DONE
        told = [msgspec.json.decode(line) for line in lines]
        assert [each.get("kind", each.get("status")) for each in told] == [
            "resting",
            "cancelled",
            "accepted",
            "rested",
        ]
        await client.cancel_all_orders()


async def test_who_is_refused_again_and_again_comes_back_less_and_less_often(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = asyncio.sleep
    waits_s: list[float] = []
    enough = asyncio.Event()

    async def noted(delay_s: float) -> None:
        task = asyncio.current_task()
        if task is None or task.get_name() != "stream":
            await sleep(delay_s)
            return
        waits_s.append(delay_s)
        if len(waits_s) == 6:
            enough.set()
        await sleep(0)

    async def refuse(_channels: Channels, _asked: Follow) -> None:
        raise RateLimited

    async with client_of(stage.house, stage.cast.provider) as client, client.stream("orders") as stream:
        follow = Channels.follow
        assert isinstance(await anext(stream.events()), Snapshot)
        monkeypatch.setattr(Channels, "follow", refuse)
        monkeypatch.setattr(asyncio, "sleep", noted)
        stage.house.exchange.relay.hub.close_all(Closing.MISSED)
        async with asyncio.timeout(DEADLINE_S):
            await enough.wait()
        monkeypatch.setattr(Channels, "follow", follow)
        assert (await stream.create_order(ask(stage, "at-last"))).status == "resting"
    assert waits_s[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
