"""Whether the journal goes on from where it stood: every sequence there, every hash that of its row. Pure.

Known limit: a row is looked at once, soon after its commit. Whoever changes one later is found by whoever
reads the journal again from its beginning, not here.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from exchange.alerts.models import Figure, Finding
from exchange.alerts.thresholds import AlertRulesVersion
from exchange.kit.clock import us_of
from exchange.orders.rules import journal_hash
from exchange.transparency.models import SealBreak

NAME: Final = "record_break"
SEALED: Final = 0
"""In the place of a partition: the log of sealed records, of all partitions."""


class Row(Protocol):
    """A row of a table, read by column."""

    def __getitem__(self, column: str, /) -> Any:
        """Return a column's value."""


class Link(msgspec.Struct, frozen=True):
    """Where a partition's journal was found whole: its last sequence and that row's hash."""

    sequence: int
    hash: bytes


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of the chain: what was expected and what was found, by sequence."""

    kind: str
    expected_sequence: int
    found_sequence: int
    at_us: int


def follow(link: Link, rows: Sequence[Row]) -> tuple[Link, list[Break]]:
    """Go on over the next rows; after a break, go on from what is there."""
    breaks: list[Break] = []
    for row in rows:
        sequence, at_us = row["sequence"], us_of(row["event_at"])
        fields = (row["product_id"], at_us, bytes(row["command"]), bytes(row["events"]))
        kind = ""
        if sequence != link.sequence + 1:
            kind = "sequence_gap"
        elif journal_hash(link.hash, sequence, *fields) != bytes(row["hash"]):
            kind = "hash_break"
        if kind:
            breaks.append(
                Break(kind=kind, expected_sequence=link.sequence + 1, found_sequence=sequence, at_us=at_us)
            )
        link = Link(sequence, bytes(row["hash"]))
    return link, breaks


def compare(link: Link, head: Row, *, is_read_out: bool) -> tuple[Link, list[Break]]:
    """Compare with the partition's head, where the journal was read to it or its rows ran out before."""
    head_link = Link(head["last_sequence"], bytes(head["last_hash"]))
    if link == head_link or (link.sequence < head_link.sequence and not is_read_out):
        return link, []
    kind = "head_differs" if link.sequence == head_link.sequence else "tail_missing"
    if link.sequence > head_link.sequence:
        kind = "head_moved_back"
    found = Break(
        kind=kind,
        expected_sequence=head_link.sequence,
        found_sequence=link.sequence,
        at_us=us_of(head["last_event_at"]),
    )
    return head_link, [found]


def finding_of(partition_id: int, found: Break, rules: AlertRulesVersion, now_us: int) -> Finding:
    """Return a break as a finding; who is party to it, the record does not say."""
    figures = (
        Figure("partition", partition_id),
        Figure(f"{found.kind}_expected_sequence", found.expected_sequence),
        Figure(f"{found.kind}_found_sequence", found.found_sequence),
    )
    return _finding(rules, found.at_us, now_us, figures)


def finding_of_seal(found: SealBreak, rules: AlertRulesVersion, now_us: int) -> Finding:
    """Return what is wrong with the sealed record as a finding."""
    figures = (
        Figure(f"{found.kind}_expected_position", found.expected),
        Figure(f"{found.kind}_found_position", found.found),
    )
    return _finding(rules, now_us, now_us, figures)


def _finding(rules: AlertRulesVersion, at_us: int, now_us: int, figures: tuple[Figure, ...]) -> Finding:
    return Finding(
        detector=NAME,
        rules_version=rules.version,
        severity=rules.rules.record_break.severity,
        participant_ids=(),
        begins_at_us=at_us,
        ends_at_us=at_us,
        found_at_us=max(now_us, at_us),
        figures=figures,
    )
