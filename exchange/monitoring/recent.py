"""What a partition measured in the last minutes: its instruments, sampled every `PERIOD_S`.

Counting stays where it is and as cheap: a sample copies some fifty numbers. With a new term of leading come
new instruments: they began with nothing since the last sample, at most `PERIOD_S` before they are seen, so
all that they have counted is of the first period.
"""

from collections import deque
from typing import Final

from exchange.kit.meters import BATCH_SIZES, MATCHING_SECONDS, SECONDS, Histogram
from exchange.monitoring.models import Commits, Spread
from exchange.monitoring.rules import Reading, Sample, begun, periods_of, spread_of
from exchange.orders.meters import SequencerMeters

PERIOD_S: Final = 5.0
MINUTE_S: Final = 60.0
_PERIODS: Final = 60
"""Five minutes."""


class Recent:
    """The samples of one partition. `take` one every `PERIOD_S`."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_PERIODS + 1)
        self._meters: SequencerMeters | None = None

    def take(self, meters: SequencerMeters, sequence: int, now_s: float) -> None:
        """Keep how the instruments stand now."""
        sample = _sample(meters, sequence, now_s)
        if meters is not self._meters:
            self._samples.clear()
            self._meters = meters
            sample = begun(sample)
        self._samples.append(sample)

    def acknowledged(self, meters: SequencerMeters, sequence: int, now_s: float) -> Spread:
        """Return how long requests waited for their committed answer in the last minute."""
        before, now = self._minute(meters, sequence, now_s)
        return spread_of(SECONDS, now.acknowledged_seconds.since(before.acknowledged_seconds))

    def commits(self, meters: SequencerMeters, sequence: int, now_s: float) -> Commits:
        """Return the batches of the last minute, and of each period."""
        before, now = self._minute(meters, sequence, now_s)
        samples = list(self._samples) if meters is self._meters else []
        return Commits(
            batch_requests=spread_of(BATCH_SIZES, now.batch_requests.since(before.batch_requests)),
            commit_seconds=spread_of(SECONDS, now.commit_seconds.since(before.commit_seconds)),
            matching_seconds=spread_of(MATCHING_SECONDS, now.matching_seconds.since(before.matching_seconds)),
            failures=dict(sorted(meters.failures.items())),
            periods=periods_of(SECONDS, samples, now_s),
        )

    def _minute(self, meters: SequencerMeters, sequence: int, now_s: float) -> tuple[Sample, Sample]:
        """Return the instruments as they stood a minute ago, or first, and as they stand now."""
        now = _sample(meters, sequence, now_s)
        if meters is not self._meters:
            return begun(now), now
        return next((each for each in self._samples if each.at_s >= now_s - MINUTE_S), now), now


def _sample(meters: SequencerMeters, sequence: int, now_s: float) -> Sample:
    return Sample(
        at_s=now_s,
        sequence=sequence,
        batch_requests=_reading(meters.batch_requests),
        commit_seconds=_reading(meters.commit_seconds),
        matching_seconds=_reading(meters.matching_seconds),
        acknowledged_seconds=_reading(meters.acknowledged_seconds),
    )


def _reading(histogram: Histogram) -> Reading:
    return Reading(tuple(histogram.counts), histogram.total)
