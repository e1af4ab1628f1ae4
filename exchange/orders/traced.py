"""Partitions whose callers' waits leave spans; put before the sequencers only where traces are wanted.

Known limit: the orders of a batch wait for a partition in one call that is not followed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from exchange.kit.telemetry import Traces
    from exchange.orders.outcomes import Outcome

Leader = TypeVar("Leader")
Within = Callable[[str, Mapping[str, str | int]], AbstractContextManager[Any]]


class _Traced:
    """A partition's sequencer, or what stands for it; everything but `submit` is its own."""

    def __init__(self, leader: Any, waiting: Callable[[], AbstractContextManager[Any]]) -> None:
        self._leader = leader
        self._waiting = waiting

    def __getattr__(self, name: str) -> Any:
        return getattr(self._leader, name)

    async def submit(self, request: Any) -> "Outcome":
        """Queue a request and wait for its committed outcome, within a span."""
        with self._waiting():
            outcome: Outcome = await self._leader.submit(request)
            return outcome


class _TracedLeaders(Mapping[int, Any]):
    """Leaders by partition, as they are at the moment of asking."""

    def __init__(self, leaders: Mapping[int, Any], within: Within) -> None:
        self._leaders = leaders
        self._within = within

    def __getitem__(self, partition_id: int) -> _Traced:
        attributes = {"exchange.partition_id": partition_id}
        return _Traced(self._leaders[partition_id], lambda: self._within("partition", attributes))

    def __iter__(self) -> Iterator[int]:
        return iter(self._leaders)

    def __len__(self) -> int:
        return len(self._leaders)


def traced(leaders: Mapping[int, Leader], traces: "Traces | None") -> Mapping[int, Leader]:
    """Return leaders by partition, whose callers wait within spans where there are traces."""
    if traces is None:
        return leaders
    return cast("Mapping[int, Leader]", _TracedLeaders(leaders, traces.within))
