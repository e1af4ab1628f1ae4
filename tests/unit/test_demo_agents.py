"""Goal: the demo's market outlives a single lost answer, and ends in one block where the exchange is gone.

Method: agents that fail as told, and a market that answers or does not.
"""

import asyncio
from typing import Any

import pytest

from exchange.cli.demo.agents import Scene, live_all
from exchange.client import Unreachable


class Market:
    """An exchange that is there or not."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    async def reach(self) -> None:
        """Answer or not."""
        if not self._answers:
            raise Unreachable("nobody there")


class Failing:
    """An agent that fails as told, and then tells that it lives."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.lives = asyncio.Event()

    async def live(self) -> None:
        """Fail once more, or live for ever."""
        if self._failures:
            raise self._failures.pop(0)
        self.lives.set()
        await asyncio.Event().wait()


def scene_of(market: Any) -> Scene:
    return Scene(market, {}, 1.0, "run")


async def test_an_answer_that_is_lost_is_counted_and_life_goes_on() -> None:
    scene = scene_of(Market(answers=True))
    agent: Any = Failing(Unreachable("timeout"), Unreachable("timeout"))
    market = asyncio.create_task(live_all([agent], scene, pytest.fail))
    await asyncio.wait_for(agent.lives.wait(), 10)
    assert scene.refused == {"no_answer": 2}
    market.cancel()
    await asyncio.wait([market])
    assert market.cancelled()


async def test_where_the_exchange_is_gone_the_market_ends() -> None:
    agents: list[Any] = [Failing(), Failing(Unreachable("timeout")), Failing(Unreachable("timeout"))]
    with pytest.raises(Unreachable, match="nobody there"):
        await live_all(agents, scene_of(Market(answers=False)), pytest.fail)


async def test_a_fault_of_an_agent_is_told_and_keeps_its_trace() -> None:
    agents: list[Any] = [Failing(), Failing(ValueError("no such price"))]
    told: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        await live_all(agents, scene_of(Market(answers=True)), told.append)
    assert told == ["the simulation has stopped: ValueError: no such price"]
    assert isinstance(caught.value.exceptions[0], ValueError)
