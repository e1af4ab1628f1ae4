"""What is read off instruments: spreads of what came between two readings. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from exchange.monitoring.models import CommitPeriod, Spread

_DIGITS: Final = 6


class Reading(msgspec.Struct, frozen=True):
    """A histogram at a moment: its counts by bucket, and the sum of all values."""

    counts: tuple[int, ...]
    total: float

    def since(self, earlier: "Reading") -> "Reading":
        """Return what came after an earlier reading of the same histogram."""
        return Reading(
            tuple(now - before for now, before in zip(self.counts, earlier.counts, strict=True)),
            self.total - earlier.total,
        )


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A partition's instruments at a moment of a clock that never goes back."""

    at_s: float
    sequence: int
    batch_requests: Reading
    commit_seconds: Reading
    matching_seconds: Reading
    acknowledged_seconds: Reading


def begun(sample: Sample) -> Sample:
    """Return a sample of the same instruments as they were before they counted anything."""
    return Sample(
        at_s=sample.at_s,
        sequence=sample.sequence,
        batch_requests=sample.batch_requests.since(sample.batch_requests),
        commit_seconds=sample.commit_seconds.since(sample.commit_seconds),
        matching_seconds=sample.matching_seconds.since(sample.matching_seconds),
        acknowledged_seconds=sample.acknowledged_seconds.since(sample.acknowledged_seconds),
    )


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Return the value below which a share of all lies, as if even in its bucket; None where there is none.

    What exceeds the last bound counts as the last bound.
    """
    wanted = share * sum(counts)
    if not wanted:
        return None
    below = 0
    for place, count in enumerate(counts[: len(bounds)]):
        if below + count >= wanted:
            lower = bounds[place - 1] if place else 0.0
            return lower + (bounds[place] - lower) * (wanted - below) / count
        below += count
    return bounds[-1]


def spread_of(bounds: Sequence[float], values: Reading) -> Spread:
    """Return how some values were spread."""
    count = sum(values.counts)
    return Spread(
        count=count,
        mean=round(values.total / count, _DIGITS) if count else None,
        p50=_rounded(quantile(bounds, values.counts, 0.5)),
        p99=_rounded(quantile(bounds, values.counts, 0.99)),
    )


def periods_of(bounds: Sequence[float], samples: Sequence[Sample], now_s: float) -> list[CommitPeriod]:
    """Return what was committed between each two samples that follow each other; `bounds` of acknowledged."""
    return [
        CommitPeriod(
            ends_s_ago=round(now_s - later.at_s, 3),
            seconds=round(later.at_s - earlier.at_s, 3),
            commands=later.sequence - earlier.sequence,
            batches=sum(later.commit_seconds.since(earlier.commit_seconds).counts),
            acknowledged_p99_seconds=_rounded(
                quantile(bounds, later.acknowledged_seconds.since(earlier.acknowledged_seconds).counts, 0.99)
            ),
        )
        for earlier, later in pairwise(samples)
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
