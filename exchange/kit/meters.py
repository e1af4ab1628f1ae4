"""What is counted and measured, and how Prometheus reads it: counters, histograms, and their text form.

Instruments live where the work is done and are read when somebody asks (`exchange.monitoring`): on the hot
path counting is one dictionary entry, measuring one search in a short list. The text is Prometheus' format
0.0.4.

Known limit: for one thread. A scrape between two batches sees all of the first and nothing of the second.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

CONTENT_TYPE: Final = "text/plain; version=0.0.4"

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MATCHING_SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
BATCH_SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

Labels = Mapping[str, str]


class Counts(dict[Key, int], Generic[Key]):
    """Counters by key, each of which only grows."""

    def add(self, key: Key, count: int = 1) -> None:
        """Count."""
        self[key] = self.get(key, 0) + count


class Histogram:
    """How values are spread: a count for each of `bounds` (values up to it), and the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Exposition:
    """The text of a scrape in the making. A family's samples must be given together."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def counter(self, name: str, help_text: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """Tell counters; `name` ends in _total."""
        self._family(name, help_text, "counter", samples)

    def gauge(self, name: str, help_text: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """Tell what goes up and down."""
        self._family(name, help_text, "gauge", samples)

    def histogram(self, name: str, help_text: str, samples: Iterable[tuple[Labels, Histogram]]) -> None:
        """Tell histograms; `name` ends in the unit."""
        self._head(name, help_text, "histogram")
        for labels, histogram in samples:
            below = 0
            for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
                below += count
                shown = "+Inf" if bound is None else _number(bound)
                self._sample(f"{name}_bucket", {**labels, "le": shown}, below)
            self._sample(f"{name}_sum", labels, histogram.total)
            self._sample(f"{name}_count", labels, below)

    def text(self) -> str:
        """Return everything told so far."""
        return "".join(f"{line}\n" for line in self._lines)

    def _family(self, name: str, help_text: str, kind: str, samples: Iterable[tuple[Labels, float]]) -> None:
        self._head(name, help_text, kind)
        for labels, value in samples:
            self._sample(name, labels, value)

    def _head(self, name: str, help_text: str, kind: str) -> None:
        shown = help_text.replace("\\", "\\\\").replace("\n", "\\n")
        self._lines.append(f"# HELP {name} {shown}")
        self._lines.append(f"# TYPE {name} {kind}")

    def _sample(self, name: str, labels: Labels, value: float) -> None:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        self._lines.append(f"{name}{{{told}}} {_number(value)}" if told else f"{name} {_number(value)}")


def _number(value: float) -> str:
    """Write a number so that it reads back as the same."""
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
