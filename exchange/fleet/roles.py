"""What a process does about the partitions, by its role: it leads all, or reaches those who do, or stands by.

`all`: one process with everything; it takes the lead by force when it starts, and needs no Redis.
`gateway`: serves callers, and hands requests over Redis to whoever leads.
`engine`: leads the partitions that nobody else leads, and serves nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from exchange.fleet.engine import Engine, stop_in_time
from exchange.fleet.feed import FeedReader, FeedWriter
from exchange.fleet.follower import Follower
from exchange.fleet.leases import LeaseWatch, PartitionLease, renewing
from exchange.fleet.link import GatewayLink
from exchange.fleet.remote import RemotePartition
from exchange.kit.chores import Chore
from exchange.kit.database import ConnectionLost
from exchange.products.rules import products_of_partition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from exchange.feed.relay import Relay
    from exchange.kit.clock import Clock
    from exchange.kit.database import Database
    from exchange.kit.redis import Redis
    from exchange.kit.settings import Settings
    from exchange.orders.leader import Leader
    from exchange.orders.models import Step
    from exchange.orders.sequencer import Sequencer
    from exchange.products.models import ProductSpec

PING_S: Final = 1.0
READY: Final = "ready"
STANDBY: Final = "standby"

_log = logging.getLogger(__name__)


def why_not(settings: Settings) -> str:
    """Return why a process of several cannot run with some settings; '' where it can, or is the only one."""
    if settings.role == "all":
        return ""
    if settings.database_url is None or settings.redis_url is None:
        return (
            f"the role {settings.role} shares a database and a Redis with other processes: DATABASE_URL and "
            "EXCHANGE_REDIS_URL must name them"
        )
    if settings.seconds_per_hour is not None:
        return (
            "scaled time (--hour-seconds, EXCHANGE_SECONDS_PER_HOUR) goes with the role all only: several "
            "processes share the time of the wall"
        )
    return ""


class Partitions(Protocol):
    """The partitions as one process has them."""

    @property
    def leaders(self) -> Mapping[int, Leader]:
        """What each partition's requests are handed to."""

    @property
    def standing(self) -> str:
        """`ready`, or `standby` for an engine that leads nothing."""

    def troubles(self) -> list[str]:
        """Say what else than a partition's own state keeps requests from being taken."""

    def losses(self) -> dict[str, int]:
        """Count what was lost on the way between processes, by kind; each reads the journal instead."""

    async def start(self) -> None:
        """Lead, listen, or stand by."""

    async def stop(self) -> None:
        """Answer what was taken, and let others lead."""


class Surroundings(msgspec.Struct, frozen=True):
    """What the partitions of every role are built in.

    `new_sequencer` takes a partition and what to call when it ends by itself; `on_fault` hears of an end that
    nothing here can mend.
    """

    process: str
    """The name under which this process holds leases."""
    database: Database
    clock: Clock
    products: Mapping[str, ProductSpec]
    fee_bps: int
    patience_s: float
    new_sequencer: Callable[[int, Callable[[], None]], Sequencer]
    on_fault: Callable[[], None]
    on_commit: list[Callable[[int, Sequence[Step]], None]]
    """Who is told of every commit of this process; a role may add to it."""

    @property
    def partition_ids(self) -> list[int]:
        """Every partition."""
        return sorted({product.partition_id for product in self.products.values()})


class LedHere:
    """Role `all`. It holds the leases, so that no standby takes over beside it; its safety is the epoch."""

    standing = READY

    def __init__(self, within: Surroundings) -> None:
        self.leaders: dict[int, Sequencer] = {
            each: within.new_sequencer(each, within.on_fault) for each in within.partition_ids
        }
        self._leases = {each: PartitionLease(within.database, each, within.process) for each in self.leaders}
        self._lost: set[int] = set()
        self._keeping = [renewing(each, partial(self._keep_lease, each)) for each in self.leaders]

    def troubles(self) -> list[str]:
        """Tell of partitions that another process has taken: the next commit here will show it."""
        return [f"partition {each}: another server leads it now" for each in sorted(self._lost)]

    def losses(self) -> dict[str, int]:
        """Nothing: there is no other process."""
        return {}

    async def start(self) -> None:
        """Take the lead of all, whoever has it."""
        for lease in self._leases.values():
            await lease.take(by_force=True)
        for chore in self._keeping:  # books may take longer to rebuild than a lease lasts
            chore.start()
        for sequencer in self.leaders.values():
            await sequencer.start()

    async def reach_hour(self, hour: int) -> None:
        """Return when all have settled and advanced to a venue hour that the clock has reached."""
        for sequencer in self.leaders.values():
            await sequencer.reach_hour(hour)

    async def stop(self) -> None:
        """Answer what was taken."""
        await asyncio.gather(*(stop_in_time(each) for each in self.leaders.values()))
        for chore in self._keeping:
            await chore.stop()
        with contextlib.suppress(ConnectionLost):  # they end by themselves where the database is gone
            for partition_id in self._leases.keys() - self._lost:
                await self._leases[partition_id].end()

    async def _keep_lease(self, partition_id: int) -> None:
        if partition_id in self._lost:
            return
        if not await self._leases[partition_id].renew(self.leaders[partition_id].epoch):
            _log.warning("partition %d: another server has the lease", partition_id)
            self._lost.add(partition_id)


class LedElsewhere:
    """Role `gateway`."""

    standing = READY

    def __init__(
        self,
        within: Surroundings,
        redis: Redis,
        relay: Relay,
    ) -> None:
        self._redis = redis
        self._follower = Follower(
            within.database,
            {each: products_of_partition(within.products, each) for each in within.partition_ids},
        )
        relay.followers.append(self._follower)
        self._feed = FeedReader(redis, within.partition_ids, relay.tell)
        self._watch = LeaseWatch(within.database)
        self._link = GatewayLink(redis, partition_ids=within.partition_ids, patience_s=within.patience_s)
        self.leaders: dict[int, RemotePartition] = {
            each: RemotePartition(
                each,
                self._link,
                self._watch,
                clock=within.clock,
                fee_bps=within.fee_bps,
                patience_s=within.patience_s,
                follower=self._follower,
            )
            for each in within.partition_ids
        }

    def troubles(self) -> list[str]:
        """Tell where the engines cannot be reached."""
        return ["Redis cannot be reached"] if self._redis.is_cut_off else []

    def losses(self) -> dict[str, int]:
        """Streams that Redis lost, and books that a step did not fit."""
        return {"streams": self._redis.streams_lost, "books": self._follower.misfits}

    async def start(self) -> None:
        """Learn who leads and what rests, and listen for commits and answers; the relay must have started."""
        await self._follower.start()
        self._feed.start()
        await self._watch.start()
        await self._link.start()

    async def stop(self) -> None:
        """Answer who still waits by what is known."""
        await self._link.stop()
        await self._watch.stop()
        await self._feed.stop()
        await self._follower.stop()


class LedByTurns:
    """Role `engine`."""

    def __init__(self, within: Surroundings, redis: Redis) -> None:
        self._redis = redis
        self._feed = FeedWriter(redis)
        within.on_commit.append(self._feed.tell)
        self.leaders: dict[int, Engine] = {
            each: Engine(
                PartitionLease(within.database, each, within.process),
                redis,
                new_sequencer=lambda on_end, each=each: within.new_sequencer(each, on_end),  # type: ignore[misc]
                products=within.products,
                patience_s=within.patience_s,
                fee_bps=within.fee_bps,
                clock=within.clock,
                on_fault=within.on_fault,
            )
            for each in within.partition_ids
        }
        self._pinging = Chore(
            "redis-ping",  # also while nothing is led
            redis.ping,
            undone="gateways cannot reach this engine",
            period_s=PING_S,
            retry_s=PING_S,
        )

    @property
    def standing(self) -> str:
        """`standby` while it leads nothing."""
        return READY if any(engine.is_leading for engine in self.leaders.values()) else STANDBY

    def troubles(self) -> list[str]:
        """Tell where no gateway could reach it."""
        return ["Redis cannot be reached"] if self._redis.is_cut_off else []

    def losses(self) -> dict[str, int]:
        """Streams that Redis lost, and entries of the feed that it never got."""
        return {"streams": self._redis.streams_lost, "feed": self._feed.dropped}

    async def start(self) -> None:
        """Stand by for every partition."""
        self._feed.start()
        for engine in self.leaders.values():
            await engine.start()
        self._pinging.start()

    async def stop(self) -> None:
        """Answer what was taken, and let others lead."""
        await asyncio.gather(*(engine.stop() for engine in self.leaders.values()))
        await self._feed.stop()
        await self._pinging.stop()
