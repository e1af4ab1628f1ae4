"""Goal: an answer that waits for the next batch tells what was committed. Method: batches held by hand."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from exchange.kit.errors import Unavailable
from exchange.kit.ids import decode_id
from exchange.orders.answers import Waiting
from exchange.orders.chunks import Storing
from exchange.orders.leader import Fenced, SequencerSettings
from exchange.orders.models import OrderStatus, PhaseRequest
from exchange.orders.outcomes import PhaseSet
from exchange.orders.sequencer import Sequencer
from matching.product import Phase
from tests.market_world import open_market, sequencers

DEADLINE_S = 60.0
DONE = PhaseSet(phase=Phase.OPEN)


@pytest.mark.parametrize("is_refused", [False, True])
async def test_an_answer_shows_nothing_of_the_batch_after_it(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**9)
        product = world.product()
        [sequencer] = sequencers(world.exchange).values()
        send = Storing._send
        batches = 0
        bids: list[asyncio.Task[Any]] = []
        go_on = asyncio.Event()

        async def held_send(storing: Storing, *args: Any) -> None:
            nonlocal batches
            batches += 1
            if batches == 1:
                bids.append(asyncio.create_task(world.bid(buyer, product)))
                while not sequencer._queue:  # noqa: ASYNC110 - nobody signals a queued request
                    await asyncio.sleep(0.001)
            elif batches == 2:
                await go_on.wait()
            if is_refused and batches > 1:
                raise RuntimeError("the bid's batch does not commit")
            await send(storing, *args)

        monkeypatch.setattr(Storing, "_send", held_send)
        async with asyncio.timeout(DEADLINE_S):
            ask = await world.ask(provider, product)
            assert (ask.status, ask.filled_gpu_hours) == (OrderStatus.RESTING, 0)
            go_on.set()
            if is_refused:
                with pytest.raises(Unavailable):
                    await bids[0]
            else:
                assert (await bids[0]).status is OrderStatus.FILLED
        monkeypatch.setattr(Storing, "_send", send)
        now = await world.exchange.orders.get(provider, decode_id("ord", ask.id) or 0)
        assert (now.filled_gpu_hours == 0) is is_refused


def _sequencer() -> Sequencer:
    settings = SequencerSettings(partition_id=1, fee_bps=0, settlement_delay_hours=0)
    absent: Any = None
    return Sequencer(
        settings,
        products={},
        database=absent,
        clock=absent,
        accounts=absent,
        programmes=absent,
        on_commit=lambda *_: None,
        on_end=lambda: None,
    )


def _waiting(count: int) -> list[Waiting]:
    request = PhaseRequest(product_id="p", phase=Phase.OPEN, reason=None, participant_id=1, key_id=1)
    loop = asyncio.get_running_loop()
    return [Waiting(request=request, answer=loop.create_future()) for _ in range(count)]


async def test_what_was_committed_alone_is_never_called_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    sequencer = _sequencer()
    first, second = waiting = _waiting(2)
    sequencer._queue.extend(_waiting(1))
    tries = 0

    async def try_in_time(_: Sequence[Waiting]) -> list[PhaseSet] | None:
        nonlocal tries
        tries += 1
        if tries == 1:
            return None
        if tries == 2:
            return [DONE]
        raise Fenced("another leader has come")

    monkeypatch.setattr(sequencer, "_try_in_time", try_in_time)
    with pytest.raises(Fenced):
        await sequencer._commit(waiting)
    async with asyncio.timeout(DEADLINE_S):
        assert isinstance(first.answer, asyncio.Future)
        assert await first.answer == DONE
        assert isinstance(second.answer, asyncio.Future)
        with pytest.raises(Unavailable):
            await second.answer


async def test_stopping_answers_everybody_before_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    sequencer = _sequencer()
    waiting = _waiting(300)

    async def advance_if_due() -> None:
        """Stand in for hours."""

    async def try_in_time(batch: Sequence[Waiting]) -> list[PhaseSet]:
        return [DONE] * len(batch)

    monkeypatch.setattr(sequencer, "_advance_if_due", advance_if_due)
    monkeypatch.setattr(sequencer, "_try_in_time", try_in_time)
    sequencer._queue.extend(waiting)
    sequencer._stopping = True
    sequencer._wake.set()
    await sequencer._write_for_ever()
    assert all(each.answer.done() for each in waiting)
