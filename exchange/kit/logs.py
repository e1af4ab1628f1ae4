"""Logs: one event a line, as JSON for machines or as text on a terminal.

An event is what `logging` takes: a message, and `extra={"fields": {...}}` for what a program may look for
(partition, sequence, counts). The request that is being answered is added to whatever is logged meanwhile:
its id, and the participant and key once they are known.

Invariant: a line holds no secret. Keys of the exchange, bearer tokens and the passwords of addresses are
struck out of the finished line, whoever wrote them into it.
"""

import logging
import re
import sys
import traceback
from contextvars import ContextVar
from typing import Any, Final, Literal

import msgspec

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_SECOND, format_rfc3339
from exchange.kit.http_scope import request_id_of
from exchange.kit.ids import encode_id

Form = Literal["auto", "json", "text"]

REQUEST: Final[ContextVar[Any]] = ContextVar("request", default=None)
"""The ASGI scope of the request that is being answered."""

_SECRETS: Final = (
    (re.compile(r"(cx_[0-9A-Za-z]{1,13}_)[A-Za-z0-9_-]+"), r"\1***"),
    (re.compile(r"(?i)(bearer\s+)(?!cx_)[^\s\"']+"), r"\1***"),
    (re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+(@)"), r"\1***\2"),
)
_QUIET: Final = ("uvicorn.error", "uvicorn.access", "asyncio")
"""Loggers that anyone outside can make speak: only their errors are told, the rest is counted by us."""


def without_secrets(text: str) -> str:
    """Strike keys and passwords out of a text."""
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept, text)
    return text


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record says beside its message."""
    told: dict[str, Any] = {}
    scope = REQUEST.get()
    if scope is not None:
        told["request_id"] = request_id_of(scope)
        user = scope.get("user")
        if isinstance(user, Principal):
            told["participant_id"] = encode_id("par", user.participant_id)
            told["key_id"] = encode_id("key", user.key_id)
    told.update(getattr(record, "fields", {}))
    return told


class JsonFormatter(logging.Formatter):
    """An event as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event: dict[str, Any] = {
            "at": format_rfc3339(int(record.created * US_PER_SECOND)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info is not None and record.exc_info[1] is not None:
            event["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        try:
            line = msgspec.json.encode(event, enc_hook=str)
        except (UnicodeEncodeError, TypeError):
            # Half a surrogate pair cannot be written, and no event may be lost for what somebody sent.
            texts = {name: str(value).encode("utf-8", "replace").decode() for name, value in event.items()}
            line = msgspec.json.encode(texts)
        return without_secrets(line.decode())


class TextFormatter(logging.Formatter):
    """An event for a reader at a terminal; a traceback takes lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line, newline, trace = super().format(record).partition("\n")
        told = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        return without_secrets(f"{line}{'  ' if told else ''}{told}{newline}{trace}")


def configure(level: str, form: Form) -> bool:
    """Write events to standard error from now on; return whether as JSON. `auto`: text on a terminal."""
    is_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if is_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    return is_json


def announcement(text: str, *, is_json: bool) -> str:
    """Return a line for what must be said whatever the level: where the exchange is, say."""
    record = logging.LogRecord("exchange", logging.INFO, "", 0, text, None, None)
    return JsonFormatter().format(record) if is_json else text
