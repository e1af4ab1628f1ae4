"""What an operator can set, read from the environment once, at start.

Every bad value is named at once, with its rule. A misspelt EXCHANGE_ name is an error too: a fee that
silently keeps its default is worse than a service that does not start.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import msgspec

CLIENT_NAMES = frozenset({"EXCHANGE_URL", "EXCHANGE_KEY", "EXCHANGE_SIGNING_KEY"})
"""Read by the command-line client, not by the service."""

Rate = tuple[int, int]
LogForm = Literal["auto", "json", "text"]
Role = Literal["all", "gateway", "engine"]

LOG_FORMATS: tuple[LogForm, ...] = ("auto", "json", "text")
ROLES: tuple[Role, ...] = ("all", "gateway", "engine")
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """One or more variables break their rules; the message names each variable, rule and value."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one service process."""

    database_url: str | None = None
    """PostgreSQL 16 or newer; None starts an embedded one on `data_dir`."""
    oversight_database_url: str | None = None
    """A replica of the database that regulators' questions are read from; None reads the database itself."""
    data_dir: Path = Path("~/.local/share/compute-exchange")
    """Folder of the embedded PostgreSQL and of the first operator's key."""
    host: str = "127.0.0.1"
    port: int = 8000
    redis_url: str | None = None
    """Needed by several processes only."""
    role: Role = "all"
    """What this process does: everything, serve callers, or lead partitions (`exchange.fleet.roles`)."""
    patience_s: int = 5
    """How long a gateway waits for an engine's answer; a request that is older has no effect any more."""
    seconds_per_hour: float | None = None
    """Real seconds that one delivery hour lasts; None keeps wall time."""
    fee_bps: int = 50
    """The exchange's share of each delivered hour, in basis points."""
    settlement_delay_hours: int = 1
    """Hours after its delivery at which an hour's money is released."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For tells where a request comes from."""
    bench_echo: bool = False
    """Serve the route that benchmarks compare with."""
    log_level: str = "info"
    log_format: LogForm = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""
    rate_key: Rate | None = (40_000, 4)
    """Requests of a key, as (so many at once, seconds in which they come back); None is no limit."""
    rate_participant: Rate | None = (80_000, 4)
    rate_cancels: Rate | None = (40_000, 4)
    """Cancels of a key, beside its other requests; its participant has twice as many."""
    rate_address: Rate | None = (4_000, 4)
    """Requests without a key from one address."""
    rate_failures: Rate | None = (60, 60)
    """Failed authentications from one address."""
    session_lifetime_s: int = 12 * 3600
    """How long a session of the console lasts at most."""
    session_idle_s: int = 3600
    """After how long unused it ends before that."""
    otlp_endpoint: str | None = None
    """Address of the OpenTelemetry collector that gets traces, over HTTP; None sends none."""
    trace_ratio: float = 1.0
    """Which share of traces is recorded."""
    rate_refusals: Rate | None = (200, 4)
    """Requests from one address that are refused unread; after more it is read from later."""
    rate_bytes: Rate | None = (32 * 1024 * 1024, 2)
    """Bytes from one address; more are read later."""
    metrics_networks: tuple[str, ...] = ()
    """Networks that read /metrics without a key."""
    head_timeout_s: int = 10
    body_timeout_s: int = 30
    reader_timeout_s: int = 30
    """How long the other side may leave unread what it was sent."""
    drain_s: int = 10
    """For how long after SIGTERM a server says that it will stop, before it does; an engine does not wait."""
    stop_timeout_s: int = 10
    """How long a stop waits for the answers under way."""
    checkpoint_dir: Path | None = None
    """Folder outside of the database for signed checkpoints of the record; None is one in `data_dir`."""
    checkpoint_key_file: Path | None = None
    """The private key that signs them; None is a file in `data_dir`, made where the record has no key yet."""
    checkpoint_origin: str = "compute-exchange/audit"
    """The name that checkpoints are of, and that the key signs under."""
    checkpoint_period_s: int = 30
    """After how long records that are fewer than a block are sealed."""
    statement_timeout_s: int = 30
    """How long the database may take over one statement of a request."""
    connections_max: int = 4_096
    connections_per_address_max: int = 1_024

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read settings from variables. SettingsError names every bad or unknown one."""
        values: dict[str, Any] = {}
        faults: list[str] = []
        for name, (field, rule, read) in _VARIABLES.items():
            text = environment.get(name)
            if text is None or text == "":
                continue
            try:
                values[field] = read(text)
            except ValueError:
                faults.append(f"{name} must be {rule}, not {_shown(name, text)}")
        known = _VARIABLES.keys() | CLIENT_NAMES
        faults.extend(
            f"{name} is not a setting"
            for name in sorted(environment)
            if name.startswith("EXCHANGE_") and name not in known
        )
        if faults:
            raise SettingsError("; ".join(faults))
        return cls(**values)


def _shown(name: str, text: str) -> str:
    # An address may hold a password, which must not reach a log.
    return "the value given" if name.endswith(("_URL", "_ENDPOINT")) else repr(text[:100])


_OF_HOSTS = frozenset({"http", "https", "redis", "rediss"})
_OF_POSTGRESQL = ("postgresql", "postgres")


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        address = urlsplit(text)
        if address.scheme not in schemes or (address.scheme in _OF_HOSTS and not address.hostname):
            raise ValueError
        if address.scheme not in _OF_POSTGRESQL:  # whose addresses may name several hosts
            _ = address.port  # ValueError where it is none
        return text

    return read


def _integer(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text[:20]) <= highest):
            raise ValueError
        return int(text)

    return read


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 3600:  # noqa: PLR2004 - as the rule says; NaN fails too
        raise ValueError
    return seconds


def _ratio(text: str) -> float:
    ratio = float(text)
    if not 0 <= ratio <= 1:  # NaN fails too
        raise ValueError
    return ratio


def _flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError
    return text == "1"


def _host(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text or "/" in text:
        raise ValueError
    return text


def _networks(text: str) -> tuple[str, ...]:
    networks = tuple(network.strip() for network in text.split(","))
    for network in networks:
        ip_network(network)
    return networks


def _origin(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9./-]{0,99}", text):
        raise ValueError
    return text


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return read


def _rate(text: str) -> Rate | None:
    if text == "off":
        return None
    count, _, seconds = text.partition("/")
    return _integer(1, 10**9)(count), _integer(1, 3600)(seconds)


_RATE_RULE = "COUNT/SECONDS, as 40000/4 (COUNT at once, regained over SECONDS up to 3600), or off"
_TIMEOUT_RULE = "an integer from 1 to 3600"
_SESSION_RULE = "an integer from 60 to 604800"
_CONNECTIONS_RULE = "an integer from 1 to 100000"


_VARIABLES: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "DATABASE_URL": ("database_url", "a postgresql:// address", _url(*_OF_POSTGRESQL)),
    "OVERSIGHT_DATABASE_URL": (
        "oversight_database_url",
        "a postgresql:// address",
        _url(*_OF_POSTGRESQL),
    ),
    "EXCHANGE_DATA_DIR": ("data_dir", "a path", Path),
    "EXCHANGE_HOST": ("host", "a host name or address", _host),
    "EXCHANGE_PORT": ("port", "an integer from 0 to 65535 (0 takes any free one)", _integer(0, 65535)),
    "EXCHANGE_REDIS_URL": (
        "redis_url",
        "a redis://, rediss:// or unix:// address",
        _url("redis", "rediss", "unix"),
    ),
    "EXCHANGE_ROLE": ("role", f"one of {', '.join(ROLES)}", _one_of(ROLES)),
    "EXCHANGE_PATIENCE_S": ("patience_s", "an integer from 1 to 60", _integer(1, 60)),
    "EXCHANGE_SECONDS_PER_HOUR": ("seconds_per_hour", "a number from 0.01 to 3600", _seconds),
    "EXCHANGE_FEE_BPS": ("fee_bps", "an integer from 0 to 10000", _integer(0, 10_000)),
    "EXCHANGE_SETTLEMENT_DELAY_HOURS": (
        "settlement_delay_hours",
        "an integer from 0 to 720",
        _integer(0, 720),
    ),
    "EXCHANGE_TRUSTED_PROXIES": (
        "trusted_proxies",
        "addresses or networks, with commas between them",
        _networks,
    ),
    "EXCHANGE_BENCH_ECHO": ("bench_echo", "0 or 1", _flag),
    "EXCHANGE_LOG_LEVEL": ("log_level", f"one of {', '.join(LOG_LEVELS)}", _one_of(LOG_LEVELS)),
    "EXCHANGE_LOG_FORMAT": ("log_format", f"one of {', '.join(LOG_FORMATS)}", _one_of(LOG_FORMATS)),
    "EXCHANGE_RATE_KEY": ("rate_key", _RATE_RULE, _rate),
    "EXCHANGE_RATE_PARTICIPANT": ("rate_participant", _RATE_RULE, _rate),
    "EXCHANGE_RATE_CANCELS": ("rate_cancels", _RATE_RULE, _rate),
    "EXCHANGE_RATE_ADDRESS": ("rate_address", _RATE_RULE, _rate),
    "EXCHANGE_RATE_FAILURES": ("rate_failures", _RATE_RULE, _rate),
    "EXCHANGE_SESSION_LIFETIME_S": ("session_lifetime_s", _SESSION_RULE, _integer(60, 604_800)),
    "EXCHANGE_SESSION_IDLE_S": ("session_idle_s", _SESSION_RULE, _integer(60, 604_800)),
    "EXCHANGE_OTLP_ENDPOINT": ("otlp_endpoint", "an http:// or https:// address", _url("http", "https")),
    "EXCHANGE_TRACE_RATIO": ("trace_ratio", "a number from 0 to 1", _ratio),
    "EXCHANGE_RATE_REFUSALS": ("rate_refusals", _RATE_RULE, _rate),
    "EXCHANGE_RATE_BYTES": ("rate_bytes", _RATE_RULE, _rate),
    "EXCHANGE_METRICS_NETWORKS": (
        "metrics_networks",
        "addresses or networks, with commas between them",
        _networks,
    ),
    "EXCHANGE_HEAD_TIMEOUT_S": ("head_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_BODY_TIMEOUT_S": ("body_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_READER_TIMEOUT_S": ("reader_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_DRAIN_S": ("drain_s", "an integer from 0 to 3600", _integer(0, 3600)),
    "EXCHANGE_STOP_TIMEOUT_S": ("stop_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_CHECKPOINT_DIR": ("checkpoint_dir", "a path", Path),
    "EXCHANGE_CHECKPOINT_KEY_FILE": ("checkpoint_key_file", "a path", Path),
    "EXCHANGE_CHECKPOINT_ORIGIN": (
        "checkpoint_origin",
        "1 to 100 characters of a-z 0-9 . / -, such as exchange.example/audit",
        _origin,
    ),
    "EXCHANGE_CHECKPOINT_PERIOD_S": ("checkpoint_period_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_STATEMENT_TIMEOUT_S": ("statement_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_CONNECTIONS_MAX": ("connections_max", _CONNECTIONS_RULE, _integer(1, 100_000)),
    "EXCHANGE_CONNECTIONS_PER_ADDRESS_MAX": (
        "connections_per_address_max",
        _CONNECTIONS_RULE,
        _integer(1, 100_000),
    ),
}
