"""Two gateways and two engines under traders: who leads, and lines to both gateways.

Starting an engine anew does not hold the traders up; waiting for one goes on in a thread.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Final

from exchange.kit.clock import monotonic_s
from exchange.kit.database import Database
from tests.fleet import ProcessFleet, ServedProcess
from tests.plain_http import Line

GATEWAYS: Final = 2
ENGINES: Final = 2
PATIENCE_S: Final = 60.0


class TradedFleet:
    """A fleet, and who leads it by its lease, as an operator would see it. Made by `traded_fleet`."""

    def __init__(self, fleet: ProcessFleet, database: Database) -> None:
        self._fleet = fleet
        self._database = database
        self._killed: set[str] = set()

    @property
    def operator_key(self) -> str:
        """The key of the first operator."""
        return self._fleet.operator_key

    def lines(self) -> Callable[[], Line]:
        """Return what makes lines, to one gateway after the other."""
        doors = cycle([each.port for each in self._fleet.processes if each.role == "gateway"])
        return lambda: Line("127.0.0.1", next(doors))

    async def leader(self) -> ServedProcess:
        """Wait until an engine leads, and return it."""
        gives_up_s = monotonic_s() + PATIENCE_S
        while True:
            async with self._database.connection() as connection:
                holder = await connection.fetchval(
                    "SELECT holder FROM partition_lease WHERE leads_until > clock_timestamp()"
                )
            pid = 0 if holder is None else int(holder.split("/")[1])
            for process in self._fleet.processes:
                if process.is_running and process.pid == pid:
                    return process
            assert monotonic_s() < gives_up_s, f"nobody leads: {holder}"
            await asyncio.sleep(0.02)

    def kill(self, engine: ServedProcess) -> None:
        """Kill -9 an engine."""
        self._killed.add(engine.name)
        engine.kill()

    def beside(self, engine: ServedProcess) -> ServedProcess:
        """Return the other engine that runs."""
        [other] = [
            each
            for each in self._fleet.processes
            if each.role == "engine" and each is not engine and each.is_running
        ]
        return other

    async def start_another(self) -> None:
        """Start an engine for one that was killed, and wait until it can take the lead, or has."""
        await asyncio.to_thread(self._fleet.start("engine").wait_until_up)

    def check_running(self) -> None:
        """Fail where a process has ended by itself, with what it logged."""
        for process in self._fleet.processes:
            has_ended = not process.is_running and process.name not in self._killed
            assert not has_ended, f"{process.name} has ended:\n{process.told()[-5000:]}"


@asynccontextmanager
async def traded_fleet(
    database_url: str, redis_url: str, folder: Path, *, gateways_redis: str
) -> AsyncIterator[TradedFleet]:
    """Start the processes; give them once an engine leads; stop them at the end.

    The gateways reach Redis at an address of their own.
    """
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    with ProcessFleet(database_url, redis_url, folder) as fleet:
        # The first makes the tables and the key.
        await asyncio.to_thread(fleet.start("engine").wait_until, "ready")
        others = [fleet.start("engine") for _ in range(ENGINES - 1)]
        gateways = [fleet.start("gateway", EXCHANGE_REDIS_URL=gateways_redis) for _ in range(GATEWAYS)]
        for process, status in [
            *((each, "standby") for each in others),
            *((each, "ready") for each in gateways),
        ]:
            await asyncio.to_thread(process.wait_until, status)
        database = await Database.connect(database_url, connections_min=1, connections_max=2)
        try:
            yield TradedFleet(fleet, database)
        finally:
            await database.close()
            for process in fleet.processes:
                process.send(signal.SIGCONT)
