"""Goal: whatever breaks among several processes, what was acknowledged stands, once, and it trades on.

Method: two gateways and two engines as processes of their own on one PostgreSQL and one Redis; eight traders
on sixteen connections to both gateways do everything that can be done with orders, and send again what was
lost, while the fault that each test names is injected (`tests.history.scenarios`). Then every answer that
anybody got is held against the journal, whose terms must follow each other, and the ledger is checked.

`make faults` does the same for as long as it is told, and says how long each takeover took.
"""

from pathlib import Path

import pytest

from tests.history import scenarios
from tests.history.scenarios import Around
from tests.hypothesis_profiles import is_long
from tests.redis_servers import RedisServer

pytestmark = pytest.mark.timeout(540)  # processes start, and are waited for

KILLS, LOSSES = (3, 2) if is_long() else (1, 1)
PAUSE_S = 3.0
"""Longer than a lease. `make faults` takes ten seconds."""


@pytest.fixture
def around(database_url: str, redis_server: RedisServer, tmp_path: Path) -> Around:
    return Around(database_url, redis_server, tmp_path)


async def test_leaders_are_killed_and_stopped_and_redis_loses_everything(around: Around) -> None:
    """Injected, one after the other under one load: what stops engines, and what empties Redis.

    Kill -9 of the engine that leads, which comes back as a standby; SIGSTOP of the engine that leads, until
    another one leads, and SIGCONT; everything in Redis is flushed, and the server killed and started anew.
    Several times each in the long run.

    Must hold: nothing acknowledged is lost or done twice; the standby trades (within 5 s: `make faults`); no
    row of a stale term is written, and who was stopped stands by in the same process: it leads again once the
    other is killed; whoever got no answer sends again.
    """
    outcome = await scenarios.one_after_the_other(
        around, kills=KILLS, stops=1, losses=LOSSES, pause_s=PAUSE_S
    )
    assert len(outcome.takeovers_s) == KILLS + 1
    assert outcome.effects > 2 * (KILLS + LOSSES) * scenarios.ANSWERS / 4


async def test_redis_cannot_be_reached_for_a_while(around: Around) -> None:
    """Injected: every packet between Redis and the gateways is dropped for seconds, then the engines'.

    Must hold: nothing acknowledged is lost or done twice, callers are told what is known, and it trades on.
    """
    outcome = await scenarios.redis_cut_off_in_turn(around, pause_s=PAUSE_S)
    assert outcome.effects > 2 * scenarios.ANSWERS / 4


async def test_requests_come_twice_late_and_in_another_order(around: Around) -> None:
    """Injected: a tenth of the requests come twice, the second time later, and a tenth are held back.

    Must hold: each has one effect, and what stands in the end is what the same journal comes to without.
    """
    outcome = await scenarios.requests_disordered(around, 1)
    assert outcome.injected > 20
