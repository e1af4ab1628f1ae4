"""Goal: commands are sent once, a loss says what is known of them, and a reader survives a stream's loss.

Method: a real server that is flushed, killed, stopped and begun anew.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.kit import redis as kit
from exchange.kit.redis import BEGINNING, Redis, RedisLost, RedisRefused, StreamReader, before, place_of
from tests.redis_servers import RedisServer

BLOCK_S = 0.05


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    opened = Redis.at(redis_url)
    yield opened
    await opened.close()


async def someone_waits(redis: Redis) -> None:
    """Return once a caller waits for a list; only the server knows."""
    while b"cmd=blpop" not in await redis.run("CLIENT", "LIST"):
        pass


async def test_entries_come_in_order_and_once(redis: Redis) -> None:
    reader = StreamReader(redis, "s", entries_max=3)
    ids = [await redis.append("s", bytes([number])) for number in range(5)]
    first, second, third = [await reader.read(BLOCK_S) for _ in range(3)]
    assert [entry.id for entry in (*first.entries, *second.entries)] == ids
    assert [entry.data for entry in first.entries] == [b"\x00", b"\x01", b"\x02"]
    assert third.entries == []
    assert abs(third.now_ms - place_of(ids[-1])[0]) < 60_000
    again = StreamReader(redis, "s", after=before(ids[3]), entries_max=10)
    assert [entry.id for entry in (await again.read(BLOCK_S)).entries] == ids[3:]


async def test_a_reader_wakes_for_an_entry(redis: Redis) -> None:
    reading = asyncio.create_task(StreamReader(redis, "s", entries_max=1).read(30.0))
    appended = await redis.append("s", b"data")
    page = await asyncio.wait_for(reading, 20.0)
    assert [entry.id for entry in page.entries] == [appended]


async def test_a_reader_begins_anew_where_the_stream_was_lost(redis: Redis) -> None:
    reader = StreamReader(redis, "s", after="99999999999999-5", entries_max=10)
    appended = await redis.append("s", b"data")
    assert (await reader.read(BLOCK_S)).entries == []
    assert redis.streams_lost == 1
    assert [entry.id for entry in (await reader.read(BLOCK_S)).entries] == [appended]
    await redis.run("FLUSHALL")
    assert (await reader.read(BLOCK_S)).entries == []
    assert (redis.streams_lost, reader.after) == (2, BEGINNING)


async def test_what_was_trimmed_is_gone_and_is_no_loss(redis: Redis) -> None:
    ids = [await redis.append("s", b"") for _ in range(4)]
    await redis.trim("s", ids[2])
    reader = StreamReader(redis, "s", entries_max=10)
    assert [entry.id for entry in (await reader.read(BLOCK_S)).entries] == ids[2:]
    await redis.trim("s", "99999999999999-0")
    assert (await reader.read(BLOCK_S)).entries == []
    assert redis.streams_lost == 0


async def test_a_stream_that_is_not_kept_goes(redis: Redis) -> None:
    await redis.append("s", b"", keep_s=60)
    assert 0 < await redis.run("TTL", "s") <= 60


async def test_a_refusal_is_told_and_what_was_sent_with_it_is_done(redis: Redis) -> None:
    await redis.run("SET", "key", "text")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        await redis.append("key", b"")
    with pytest.raises(RedisRefused):
        await redis.run_each(("XADD", "key", "*", "a", "b"), ("SET", "other", 1))
    assert await redis.run("GET", "other") == b"1"


async def test_a_script_is_loaded_where_the_server_has_lost_it(redis: Redis) -> None:
    text = "return {KEYS[1], ARGV[1]}"
    for _ in range(2):
        assert await redis.script(text, ["key"], ["word"]) == [b"key", b"word"]
    await redis.run("SCRIPT", "FLUSH")
    assert await redis.script(text, ["key"], [2]) == [b"key", b"2"]
    with pytest.raises(RedisRefused):
        await redis.script("return redis.call('NO SUCH COMMAND')")


@pytest.mark.parametrize("address", ["redis://host/0?no_such_option=1", "redis://host:port/0"])
def test_an_address_that_cannot_be_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match=r"no_such_option|[Pp]ort"):
        Redis.at(address)


async def test_a_loss_says_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(tmp_path) as server:
        redis = Redis.at(server.url)
        await redis.ping()
        os.kill(server.pid, signal.SIGSTOP)
        with monkeypatch.context() as impatient, pytest.raises(RedisLost) as lost:
            impatient.setattr(kit, "ANSWER_TIMEOUT_S", 0.2)
            await redis.append("s", b"")
        assert (lost.value.outcome, redis.is_cut_off) == ("unknown", True)
        os.kill(server.pid, signal.SIGCONT)
        await redis.ping()
        assert not redis.is_cut_off
        waiting = asyncio.create_task(redis.run("BLPOP", "list", 30, block_s=30))
        await someone_waits(redis)
        server.kill()
        with pytest.raises(RedisLost) as lost:
            await waiting
        assert lost.value.outcome == "unknown"
        with pytest.raises(RedisLost) as lost:
            await redis.append("s", b"")
        assert lost.value.outcome == "not_applied"
        server.start()
        assert await redis.append("s", b"")
        await redis.close()


async def test_who_is_cancelled_leaves_no_answer_to_the_next(redis: Redis) -> None:
    waiting = asyncio.create_task(redis.run("BLPOP", "list", 30, block_s=30))
    await someone_waits(redis)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await redis.run("RPUSH", "list", "word")
    assert [await redis.run("ECHO", number) for number in range(10)] == [b"%d" % n for n in range(10)]
