"""Goal: what is told is what was counted, in the very form that Prometheus reads.

Method: a parser written from the description of format 0.0.4, which takes nothing else, reads it back.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.meters import SECONDS, Counts, Exposition, Histogram

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|\d*\.\d+)|[+-]Inf|NaN)")

Sample = tuple[str, tuple[tuple[str, str], ...]]


def parsed(text: str) -> dict[Sample, float]:
    """Read an exposition, and check that it is one: every sample under the TYPE of its family, none twice."""
    assert text.endswith("\n")
    found: dict[Sample, float] = {}
    kinds: dict[str, str] = {}
    current = ""
    for line in text.removesuffix("\n").split("\n"):
        if head := re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.*)", line):
            if head[1] == "TYPE":
                assert head[2] not in kinds
                kinds[head[2]] = head[3]
                assert head[3] in {"counter", "gauge", "histogram"}
            current = head[2]
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        name, labels, value = sample.groups()
        family = re.sub(r"_(bucket|sum|count)$", "", name) if kinds[current] == "histogram" else name
        assert family == current
        pairs = [(label, unescaped(text)) for label, text in LABEL.findall(labels or "")]
        assert LABEL.sub("", labels or "").strip(",") == ""
        key = (name, tuple(sorted(pairs)))
        assert key not in found
        found[key] = float(value)
    return found


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x85\u2028\u2029"), max_size=20
)


@given(counts=st.dictionaries(texts, st.integers(0, 2**53), max_size=5), help_text=texts)
def test_counters_are_read_back_whatever_their_labels_hold(counts: dict[str, int], help_text: str) -> None:
    told = Exposition()
    told.counter("things_total", help_text, [({"kind": kind}, count) for kind, count in counts.items()])
    assert parsed(told.text()) == {
        ("things_total", (("kind", kind),)): count for kind, count in counts.items()
    }


@given(values=st.lists(st.floats(0, 100, allow_nan=False), max_size=50))
def test_a_histogram_counts_each_value_in_every_bucket_that_holds_it(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    told = Exposition()
    told.histogram("wait_seconds", "Waits.", [({"partition": "1"}, histogram)])
    found = parsed(told.text())
    for bound in SECONDS:
        shown = next(
            dict(labels)["le"]
            for name, labels in found
            if name == "wait_seconds_bucket"
            and dict(labels)["le"] != "+Inf"
            and float(dict(labels)["le"]) == bound
        )
        bucket = ("wait_seconds_bucket", (("le", shown), ("partition", "1")))
        assert found[bucket] == sum(value <= bound for value in values)
    assert found["wait_seconds_bucket", (("le", "+Inf"), ("partition", "1"))] == len(values)
    assert found["wait_seconds_count", (("partition", "1"),)] == len(values)
    assert found["wait_seconds_sum", (("partition", "1"),)] == pytest.approx(sum(values))


def test_counts_grow_by_key() -> None:
    counts: Counts[str] = Counts()
    counts.add("a")
    counts.add("a", 2)
    assert counts == {"a": 3}
