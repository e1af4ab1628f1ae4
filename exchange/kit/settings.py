"""What an operator can set, read from the environment once, at start.

Every bad value is named at once, with its rule. A misspelt EXCHANGE_ name is an error too: a fee that
silently keeps its default is worse than a service that does not start.
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import msgspec

CLIENT_NAMES = frozenset({"EXCHANGE_URL", "EXCHANGE_KEY"})
"""Read by the command-line client, not by the service."""

Rate = tuple[int, int]
LogForm = Literal["auto", "json", "text"]

LOG_FORMATS: tuple[LogForm, ...] = ("auto", "json", "text")
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """One or more variables break their rules; the message names each variable, rule and value."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one service process."""

    database_url: str | None = None
    """PostgreSQL 16 or newer; None starts an embedded one on `data_dir`."""
    data_dir: Path = Path("~/.local/share/compute-exchange")
    """Folder of the embedded PostgreSQL and of the first operator's key."""
    host: str = "127.0.0.1"
    port: int = 8000
    redis_url: str | None = None
    """Needed by several processes only."""
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
    metrics_networks: tuple[str, ...] = ()
    """Networks that read /metrics without a key."""
    head_timeout_s: int = 10
    body_timeout_s: int = 30
    reader_timeout_s: int = 30
    """How long the other side may leave unread what it was sent."""
    stop_timeout_s: int = 10
    """How long a stop waits for the answers under way."""
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
    return "the value given" if name.endswith("_URL") else repr(text[:100])


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError
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
_CONNECTIONS_RULE = "an integer from 1 to 100000"


_VARIABLES: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "DATABASE_URL": ("database_url", "a postgresql:// address", _url("postgresql", "postgres")),
    "EXCHANGE_DATA_DIR": ("data_dir", "a path", Path),
    "EXCHANGE_HOST": ("host", "a host name or address", _host),
    "EXCHANGE_PORT": ("port", "an integer from 0 to 65535 (0 takes any free one)", _integer(0, 65535)),
    "EXCHANGE_REDIS_URL": (
        "redis_url",
        "a redis://, rediss:// or unix:// address",
        _url("redis", "rediss", "unix"),
    ),
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
    "EXCHANGE_METRICS_NETWORKS": (
        "metrics_networks",
        "addresses or networks, with commas between them",
        _networks,
    ),
    "EXCHANGE_HEAD_TIMEOUT_S": ("head_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_BODY_TIMEOUT_S": ("body_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_READER_TIMEOUT_S": ("reader_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_STOP_TIMEOUT_S": ("stop_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_STATEMENT_TIMEOUT_S": ("statement_timeout_s", _TIMEOUT_RULE, _integer(1, 3600)),
    "EXCHANGE_CONNECTIONS_MAX": ("connections_max", _CONNECTIONS_RULE, _integer(1, 100_000)),
    "EXCHANGE_CONNECTIONS_PER_ADDRESS_MAX": (
        "connections_per_address_max",
        _CONNECTIONS_RULE,
        _integer(1, 100_000),
    ),
}
