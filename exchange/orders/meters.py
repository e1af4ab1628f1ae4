"""What a partition measures of itself, and how it stands."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from exchange.kit.meters import BATCH_SIZES, MATCHING_SECONDS, SECONDS, Counts, Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.orders.models import Step

_log: Final = logging.getLogger(__name__)


class SequencerState(msgspec.Struct, frozen=True):
    """Where a partition stands.

    `trouble` says why no requests are taken, and is empty while they are; `queued` requests wait; `hour` is
    the one reached, -1 before the first; `sequence` the last committed, 0 while there is no book. Where not
    `is_leading`, this process stands by for the one that leads.
    """

    trouble: str
    queued: int
    hour: int
    sequence: int
    is_leading: bool = True


class SequencerMeters:
    """The instruments of one partition."""

    def __init__(self, partition_id: int, acknowledged_seconds: Histogram) -> None:
        self._partition_id = partition_id
        self.batch_requests = Histogram(BATCH_SIZES)
        self.commit_seconds = Histogram(SECONDS)
        """From the first statement of a batch to its commit, matching included."""
        self.matching_seconds = Histogram(MATCHING_SECONDS)
        self.acknowledged_seconds = acknowledged_seconds
        self.failures: Counts[str] = Counts()
        """What was not committed: a batch, an hour; and ends of the writer."""

    def committed(self, steps: Sequence[Step], requests: int, seconds: float) -> None:
        """Measure a batch that was committed."""
        self.batch_requests.observe(requests)
        self.commit_seconds.observe(seconds)
        if _log.isEnabledFor(logging.DEBUG):
            fields = {
                "partition": self._partition_id,
                "sequences": [steps[0].sequence, steps[-1].sequence] if steps else [],
                "requests": requests,
                "seconds": round(seconds, 6),
            }
            _log.debug("committed", extra={"fields": fields})
