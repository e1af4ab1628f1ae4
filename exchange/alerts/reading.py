"""How far the record can be read so that nothing comes in behind, and the steps up to there.

Records are numbered when they are written and seen when they are committed, so a number may be there before
a smaller one. `Horizon` tells up to which one nothing more can come: it takes the newest number, then notes
who was writing at that moment; once all of those are done, whatever they wrote below it is there or never
will be. It waits for nobody, and nobody waits for it.
"""

import asyncio
from typing import Final

from exchange.alerts import store
from exchange.alerts.detection import Detection
from exchange.alerts.models import Finding
from exchange.alerts.recorded import CODES, RecordedStep, step_of
from exchange.alerts.thresholds import AlertRulesVersion
from exchange.kit.database import Connection

STEPS_AT_ONCE: Final = 25
"""Between so many steps other tasks of the process have their turn."""


class Horizon:
    """The number up to which the record is complete, asked for again and again."""

    def __init__(self) -> None:
        self._through_id = 0
        self._mark: tuple[int, frozenset[str]] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether writers are being waited for: asking again soon will tell more."""
        return self._mark is not None

    async def through(self, connection: Connection) -> int:
        """Return the last number below which all is there; outside of a snapshot."""
        if self._mark is not None:
            last_id, noted = self._mark
            if noted & await store.writers(connection):
                return self._through_id
            self._through_id = last_id
            self._mark = None
        last_id = await store.last_record_id(connection)
        if last_id > self._through_id:
            # In this order: who took a smaller number and is not done by now is among these.
            writers = await store.writers(connection)
            if writers:
                self._mark = last_id, writers
            else:
                self._through_id = last_id
        return self._through_id


async def read_steps(
    connection: Connection, after_id: int, through_id: int, limit: int
) -> tuple[list[RecordedStep], int]:
    """Return the next steps that some detector reads, and the number through which that is all."""
    rows = await store.records(connection, after_id, through_id, CODES, limit)
    return [step_of(row) for row in rows], rows[-1]["id"] if len(rows) == limit else through_id


async def look(
    detection: Detection, steps: list[RecordedStep], versions: tuple[AlertRulesVersion, ...]
) -> list[Finding]:
    """Let the detectors look at steps, a few at a time."""
    findings: list[Finding] = []
    for place in range(0, len(steps), STEPS_AT_ONCE):
        findings += detection.take(steps[place : place + STEPS_AT_ONCE], versions)
        await asyncio.sleep(0)
    return findings


async def versions_of(connection: Connection) -> tuple[AlertRulesVersion, ...]:
    """Return the rules with the times from which they are in force, oldest first."""
    return tuple(
        AlertRulesVersion(version=each.version, effective_from_us=each.effective_from_us, rules=each.rules)
        for each in await store.rules_versions(connection)
    )
