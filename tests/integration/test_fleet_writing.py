"""Goal: what cannot be written fails alone, and its caller is told so; whoever went with it is served.

Method: a gateway's link and an engine's desk on a real Redis, with numbers beyond 64 bits between good ones;
what they wrote is read back from their streams. Then what tells callers fails, where nothing should.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from exchange.fleet import link as link_module
from exchange.fleet.answering import AnswerDesk
from exchange.fleet.codec import read_answers, read_letters, read_request, write_answers
from exchange.fleet.link import GatewayLink
from exchange.fleet.streams import answers_stream, intake_stream
from exchange.kit.errors import Unavailable
from exchange.kit.redis import Redis, StreamReader
from exchange.orders.models import CancelAllRequest
from exchange.orders.outcomes import AmendedBefore, Cancelled, Outcome, Refused

DEADLINE_S = 60.0
TOO_LARGE = 1 << 70


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    opened = Redis.at(redis_url)
    yield opened
    await opened.close()


async def test_a_request_that_cannot_be_written_is_refused_alone(redis: Redis) -> None:
    link = GatewayLink(redis, partition_ids=[1, 2], patience_s=DEADLINE_S)
    await link.start()
    requests = [CancelAllRequest(participant_id=each, key_id=1) for each in (1, TOO_LARGE, 2)]
    answers = link.hand_over(1, requests)
    with pytest.raises(Unavailable) as refused:
        await asyncio.wait_for(answers[1], DEADLINE_S / 2)
    assert (refused.value.outcome, refused.value.retryable) == ("not_applied", False)
    page = await StreamReader(redis, intake_stream(1), entries_max=10).read(DEADLINE_S)
    sent = [each for entry in page.entries for each in read_letters(entry.data).requests]
    assert [read_request(raw, {}) for _, raw in sent] == [requests[0], requests[2]]
    link.hand_over(2, requests[:1])
    assert (link.unanswered(1), link.unanswered(2)) == (2, 1)
    assert not answers[0].done()
    await link.stop()
    assert (link.unanswered(1), link.unanswered(2)) == (0, 0)


async def test_an_outcome_that_cannot_be_written_is_told_as_unknown_alone(redis: Redis) -> None:
    desk = AnswerDesk(redis, patience_s=DEADLINE_S)
    desk.start()
    outcomes: list[Outcome] = [
        Cancelled(order=None),
        AmendedBefore(order_id=TOO_LARGE, priority="kept"),
        Cancelled(order=None),
    ]
    for number, outcome in enumerate(outcomes):
        desk.expect("gateway", number).set_result(outcome)
    await desk.stop()
    page = await StreamReader(redis, answers_stream("gateway"), entries_max=10).read(DEADLINE_S)
    told = dict(each for entry in page.entries for each in read_answers(entry.data))
    assert told[0] == told[2] == Cancelled(order=None)
    refused = told[1]
    assert isinstance(refused, Refused)
    assert (refused.refusal.outcome, refused.refusal.retryable) == ("unknown", False)


async def test_a_gateway_goes_on_to_tell_its_callers_after_whatever_befell_it(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads answers, what takes one in, and what ends the patience of callers each fail once."""
    failed = {name: asyncio.Event() for name in ("read", "_take_in", "_give_up")}

    def fail_once(owner: type, name: str) -> None:
        whole = getattr(owner, name)

        def fail(*given: object) -> object:
            if failed[name].is_set():
                return whole(*given)
            failed[name].set()
            raise LookupError("planted")

        monkeypatch.setattr(owner, name, fail)

    monkeypatch.setattr(link_module, "RETRY_FAULT_S", 0.01)
    link = GatewayLink(redis, partition_ids=[1], patience_s=DEADLINE_S)
    fail_once(StreamReader, "read")
    await link.start()
    await asyncio.wait_for(failed["read"].wait(), DEADLINE_S)
    told, untold = link.hand_over(1, [CancelAllRequest(participant_id=each, key_id=1) for each in (1, 2)])
    page = await StreamReader(redis, intake_stream(1), entries_max=10).read(DEADLINE_S)
    ((number, _), _) = [each for entry in page.entries for each in read_letters(entry.data).requests]
    fail_once(GatewayLink, "_take_in")
    for one in (0, number):
        await redis.append(answers_stream(link.gateway), write_answers([(one, Cancelled(order=None))]))
    assert await asyncio.wait_for(told, DEADLINE_S / 2) == Cancelled(order=None)
    assert failed["_take_in"].is_set()
    fail_once(GatewayLink, "_give_up")
    link._patience_s = 0.0
    with pytest.raises(Unavailable) as refused:
        await asyncio.wait_for(untold, DEADLINE_S)
    assert refused.value.outcome == "unknown"
    assert failed["_give_up"].is_set()
    await link.stop()
