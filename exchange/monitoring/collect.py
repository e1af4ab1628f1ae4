"""All metrics of one process, read from where they are counted. docs/operations.md says what each means.

Nothing is computed until somebody asks; a scrape takes about a millisecond and no statement.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from exchange.alerts.watch import AlertWatch
from exchange.feed.relay import Relay
from exchange.kit.auth_guard import FailureRecord
from exchange.kit.clock import US_PER_SECOND, Clock, monotonic_s, us_of_hour
from exchange.kit.database import Database
from exchange.kit.http_limits import Limits
from exchange.kit.meters import Counts, Exposition, Histogram, Labels
from exchange.kit.notices import Notices
from exchange.kit.redis import Redis
from exchange.orders.meters import SequencerMeters, SequencerState
from exchange.orders.service import OrderService
from exchange.transparency.sealer import Sealer
from exchange.transparency.standing import SealWatch


class Connections(Protocol):
    """The server's connections, as far as they are counted."""

    cut: Counts[str]
    held: Counts[str]

    @property
    def count(self) -> int:
        """How many there are."""


class Watched(msgspec.Struct, kw_only=True):
    """Where the metrics are. `connections` is there once a server listens."""

    orders: OrderService
    relay: Relay
    database: Database
    clock: Clock
    limits: Limits
    failures: FailureRecord
    notices: Notices
    alerts: AlertWatch
    sealer: Sealer
    sealing: SealWatch = msgspec.field(default_factory=SealWatch)
    redis: Redis | None = None
    losses: Callable[[], Mapping[str, int]] = dict
    answers: Counts[tuple[str, str, int]] = msgspec.field(default_factory=Counts)
    connections: Connections | None = None
    is_draining: bool = False
    """Whether the process will stop shortly, and shall be sent no more callers."""

    def drain(self) -> None:
        """Be ready no more from now on; all else goes on."""
        self.is_draining = True


def troubles(watched: Watched) -> list[str]:
    """Say why the exchange is not ready: which partition takes no requests and why, or what else."""
    found = [
        f"partition {partition_id}: {state.trouble}"
        for partition_id, state in watched.orders.states().items()
        if state.trouble
    ]
    if watched.relay.is_cut_off:
        found.append("the database cannot be reached")
    return found


def exposition(watched: Watched) -> str:
    """Return all metrics as Prometheus reads them."""
    told = Exposition()
    _tell_door(told, watched)
    _tell_partitions(told, watched)
    told.counter(
        "exchange_fleet_losses_total",
        "What was lost on the way between processes, by kind.",
        _by("kind", watched.losses()),
    )
    told.counter("exchange_events_total", "Committed events by kind.", _by("kind", watched.relay.events))
    told.gauge(
        "exchange_stream_readers", "Open connections of the stream.", [({}, watched.relay.hub.readers)]
    )
    told.counter(
        "exchange_stream_answers_total",
        "Answers over the stream, by what was asked and status.",
        [
            ({"op": op, "status": str(status)}, count)
            for (op, status), count in sorted(watched.relay.hub.answers.items())
        ],
    )
    told.gauge(
        "exchange_notices_heard",
        "1 while changes that other processes commit are heard.",
        [({}, watched.notices.is_listening)],
    )
    told.gauge(
        "exchange_alerts_reading",
        "1 while this process reads the record for alerts.",
        [({}, watched.alerts.is_leading)],
    )
    told.gauge(
        "exchange_alerts_read_record",
        "The last record read here for alerts.",
        [({}, watched.alerts.read_id)],
    )
    told.counter("exchange_alerts_found_total", "Alerts raised here.", [({}, watched.alerts.found)])
    _tell_sealing(told, watched.sealer, watched.sealing)
    usage = watched.database.usage
    told.gauge(
        "exchange_database_connections",
        "Connections to PostgreSQL by state.",
        [({"state": "lent"}, usage.lent), ({"state": "idle"}, usage.open - usage.lent)],
    )
    told.gauge("exchange_database_connections_max", "As many as the pool opens at most.", [({}, usage.most)])
    return told.text()


def _tell_sealing(told: Exposition, sealer: Sealer, seen: SealWatch) -> None:
    told.gauge(
        "exchange_audit_can_sign",
        "1 while this process has the key that checkpoints are signed with.",
        [({}, sealer.can_sign)],
    )
    told.gauge(
        "exchange_audit_unsealed_records",
        "Records that are under no checkpoint yet, counted to 10,000, as last seen here.",
        [({}, seen.latest.unsealed_records)],
    )
    told.gauge(
        "exchange_audit_checkpoint_age_seconds",
        "How old the last checkpoint is while records are unsealed; 0 while none is.",
        [({}, seen.checkpoint_age_s)],
    )
    told.counter("exchange_audit_sealed_total", "Records sealed here.", [({}, sealer.sealed)])
    told.gauge(
        "exchange_audit_size", "Records under signed checkpoints, as last seen here.", [({}, sealer.size)]
    )
    told.gauge(
        "exchange_audit_published_size",
        "The size of the last checkpoint in the folder outside of the database.",
        [({}, sealer.published)],
    )
    waiting_s = 0.0 if sealer.waiting_since_s is None else monotonic_s() - sealer.waiting_since_s
    told.gauge(
        "exchange_audit_unsealed_seconds", "How long records have waited for their seal.", [({}, waiting_s)]
    )
    told.gauge(
        "exchange_audit_doubt",
        "1 while nothing is sealed because database and folder contradict each other.",
        [({}, sealer.doubt is not None)],
    )


def _tell_door(told: Exposition, watched: Watched) -> None:
    told.counter(
        "exchange_http_requests_total",
        "Answers by method, route and status.",
        [
            ({"method": method, "route": route, "status": str(status)}, count)
            for (method, route, status), count in sorted(watched.answers.items())
        ],
    )
    told.counter(
        "exchange_rate_limited_total", "Requests refused, by limit.", _by("limit", watched.limits.refused)
    )
    told.gauge(
        "exchange_limits_shared",
        "1 while keys and participants are counted by all processes together.",
        [({}, watched.limits.is_shared)],
    )
    told.counter(
        "exchange_authentication_failures_total",
        "Keys that opened nothing.",
        [({}, watched.failures.total)],
    )
    if watched.connections is not None:
        told.gauge("exchange_connections", "Open connections.", [({}, watched.connections.count)])
        told.counter(
            "exchange_connections_cut_total",
            "Connections refused or cut, by reason.",
            _by("reason", watched.connections.cut),
        )
        told.counter(
            "exchange_connections_held_total",
            "Connections read from later than they sent, by the pace that they exceeded.",
            _by("pace", watched.connections.held),
        )


def _tell_partitions(told: Exposition, watched: Watched) -> None:
    states, meters = watched.orders.states(), watched.orders.meters()
    now_us = watched.clock.now_us()
    told_sequences = watched.relay.hub.sequences
    told.gauge(
        "exchange_partition_ready",
        "1 while the partition takes requests.",
        [(_of(each), state.is_leading and not state.trouble) for each, state in states.items()],
    )
    told.gauge(
        "exchange_queue_requests",
        "Requests that wait for the next batch.",
        [(_of(each), state.queued) for each, state in states.items()],
    )
    told.gauge(
        "exchange_sequence",
        "The last committed sequence.",
        [(_of(each), state.sequence) for each, state in states.items()],
    )
    told.gauge(
        "exchange_hour_lag_seconds",
        "Venue seconds since an hour began that the partition has not reached.",
        [(_of(each), _hour_lag_s(state, now_us)) for each, state in states.items()],
    )
    told.gauge(
        "exchange_relay_lag_sequences",
        "Committed sequences that are not told yet.",
        [(_of(each), max(0, state.sequence - told_sequences.get(each, 0))) for each, state in states.items()],
    )
    told.histogram(
        "exchange_batch_requests", "Requests in a commit.", _each(meters, lambda each: each.batch_requests)
    )
    told.histogram(
        "exchange_commit_seconds",
        "From a batch's first statement to its commit.",
        _each(meters, lambda each: each.commit_seconds),
    )
    told.histogram(
        "exchange_matching_seconds",
        "Matching and settling a batch in memory.",
        _each(meters, lambda each: each.matching_seconds),
    )
    told.histogram(
        "exchange_acknowledged_seconds",
        "From a request's queueing to its committed answer.",
        _each(meters, lambda each: each.acknowledged_seconds),
    )
    told.counter(
        "exchange_partition_failures_total",
        "Batches and hours that were not committed, and ends of the writer.",
        [
            ({**_of(each), "kind": kind}, count)
            for each, own in meters.items()
            for kind, count in sorted(own.failures.items())
        ],
    )


def _of(partition_id: int) -> Labels:
    return {"partition": str(partition_id)}


def _by(label: str, counts: Mapping[str, int]) -> Iterable[tuple[Labels, int]]:
    return [({label: key}, count) for key, count in sorted(counts.items())]


def _each(
    meters: dict[int, SequencerMeters], histogram_of: Callable[[SequencerMeters], Histogram]
) -> Iterable[tuple[Labels, Histogram]]:
    return [(_of(each), histogram_of(own)) for each, own in meters.items()]


def _hour_lag_s(state: SequencerState, now_us: int) -> float:
    return max(0, now_us - us_of_hour(state.hour + 1)) / US_PER_SECOND
