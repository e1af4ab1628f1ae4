"""How the exchange stands, as its operators see it: partitions, processes, followers of the record, phases.

Times of venue are RFC 3339; what is measured of processes is in seconds of the wall. A process tells a
`ProcessReport` of itself every few seconds, which is all that others know of it.
"""

from typing import Literal

import msgspec

from exchange.kit.settings import Role

FollowerName = Literal["alerts", "summaries"]
SealWarning = Literal["nobody_can_sign", "late"]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of the last minute were spread; mean and quantiles are null where there were none.

    A quantile is read off a histogram, so it is as exact as its buckets; what exceeds the last of them is
    told as its bound.
    """

    count: int
    mean: float | None
    p50: float | None
    p99: float | None


class CommitPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A short stretch of time: what was committed in it."""

    ends_s_ago: float
    seconds: float
    commands: int
    batches: int
    acknowledged_p99_seconds: float | None


class Commits(msgspec.Struct, frozen=True, kw_only=True):
    """The batches of the process that leads a partition: of the last minute, and by periods, oldest first.

    `failures` counts by kind what was not committed since the process began to lead: batches, hours, ends.
    """

    batch_requests: Spread
    commit_seconds: Spread
    matching_seconds: Spread
    failures: dict[str, int]
    periods: list[CommitPeriod]


class PartitionStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A partition as one process has it.

    `trouble` says why it takes no requests, and is empty while it does or stands by. `waiting_requests` are
    queued here, or handed over and not answered yet. `sequence` is the last that is known here, and
    `feed_lag_sequences` of them are not told to readers yet.
    """

    partition: int
    is_leading: bool
    trouble: str
    sequence: int
    waiting_requests: int
    feed_lag_sequences: int
    hour_lag_s: float
    acknowledged_seconds: Spread


class DatabaseConnections(msgspec.Struct, frozen=True, kw_only=True):
    """A process's connections to PostgreSQL: lent to somebody, idle, and at most."""

    lent: int
    idle: int
    most: int


class ProcessReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a process tells of itself.

    `redis`: whether it is reached, null where it needs none. `notices_heard`: whether it hears of keys that
    end. `alerts_reading`: whether it is the one that reads the record for alerts. `can_sign`: whether it has
    the key that checkpoints of the record are signed with. `seal_doubt`: why the record is not sealed, where
    what was sealed and what is there contradict each other. `connections`: open ones of callers.
    """

    troubles: list[str]
    database_connections: DatabaseConnections
    redis: bool | None
    notices_heard: bool
    alerts_reading: bool
    can_sign: bool
    seal_doubt: str | None
    stream_readers: int
    connections: int | None
    partitions: list[PartitionStanding]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a process tells the others: its report, how far it read for alerts, what it leads by partition."""

    report: ProcessReport
    alerts_read_record: int
    commits: dict[int, Commits]


class ProcessView(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the exchange, and what it said last.

    Where it was not heard of for more than a quarter of a minute (`seen_s_ago`) it has stopped, or cannot
    reach the database. `is_here`: it is the one that answers. `report` is null where it is of another
    version.
    """

    process: str
    role: Role
    is_here: bool
    up_s: float
    seen_s_ago: float
    report: ProcessReport | None


class LeaderView(msgspec.Struct, frozen=True, kw_only=True):
    """Who leads a partition: `holds_for_s` more without a sign of life, negative where its lease is over.

    `epoch` is 0 while its books are being built. `commits` is null where it has not been heard of.
    """

    process: str
    epoch: int
    holds_for_s: float
    commits: Commits | None


class PhaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A product's phase, as the answering process has it; null while its book is being built."""

    product: str
    phase: str | None


class PartitionView(msgspec.Struct, frozen=True, kw_only=True):
    """A partition: who leads it, where it stands, its products' phases.

    `committed_sequence` and `committed_at` (venue time) are those of its last commit; `marked_sequence` that
    of the last mark of its books, which as a rule is less than 2,000 commands behind.
    """

    partition: int
    leader: LeaderView | None
    committed_sequence: int
    committed_at: str
    marked_sequence: int
    products: list[PhaseView]


class FollowerView(msgspec.Struct, frozen=True, kw_only=True):
    """What follows the committed record, and how far behind it is.

    `behind_records` counts to 10,000 at most; `process` is the one that reads, where that is known.
    """

    name: FollowerName
    process: str | None
    read_until_at: str | None
    behind_records: int


class SealingView(msgspec.Struct, frozen=True, kw_only=True):
    """How far the record is under signed checkpoints.

    `sealed_at` is wall time, null before the first checkpoint. `unsealed_records` counts to 10,000 at most;
    `unsealed_s` is for how long the answering process has seen records wait with nothing sealed meanwhile.
    `signers` are the processes that have the key and were heard of within a quarter of a minute. `warnings`:
    `nobody_can_sign`, where there is none; `late`, where records have waited for four times `period_s`.
    """

    size: int
    sealed_at: str | None
    unsealed_records: int
    unsealed_s: float
    period_s: float
    signers: list[str]
    warnings: list[SealWarning]


class DatabaseView(msgspec.Struct, frozen=True, kw_only=True):
    """PostgreSQL as the answering process has it. A transaction that stays open holds the summaries back."""

    round_trip_ms: float
    oldest_transaction_s: float
    size_bytes: int


class PhaseChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a product's phase: by whom, with which key, and why where that was told."""

    at: str
    product: str
    phase: str
    reason: str | None
    participant: str
    participant_name: str
    key: str


class OperationsView(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange as it stands now; `troubles` says why it is not ready, and is empty while it is."""

    venue_at: str
    process: str
    troubles: list[str]
    database: DatabaseView
    partitions: list[PartitionView]
    followers: list[FollowerView]
    sealing: SealingView
    processes: list[ProcessView]
    phase_changes: list[PhaseChangeView]
