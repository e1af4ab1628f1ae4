"""Small readings of an ASGI scope that are cheaper than Litestar's request objects.

The request id is made at first use: from the caller's X-Request-Id when that is harmless to log, else a fresh
one of a random number for the process and a counter.
"""

import re
import secrets
from itertools import count
from typing import Any, Final

from exchange.kit.errors import BadHeader, Fault

REFUSED: Final = "exchange.refused"
"""Set in the scope of a request that was refused before anybody looked at what it says."""
TOLD: Final = "exchange.told"
"""In the scope of a request what the log says of its answer beside the status; only where that is logged."""
REQUEST_ID: Final = "exchange.request_id"
_PROCESS: Final = f"req_{secrets.token_hex(6)}"
_numbers: Final = count(1)
_SINGLE: Final = {
    b"authorization": "Authorization",
    b"content-type": "Content-Type",
    b"idempotency-key": "Idempotency-Key",
}
_LENGTH_DIGITS_MAX: Final = 18
"""Python refuses to read thousands of them."""
_HARMLESS: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def header(scope: Any, name: bytes) -> str | None:
    """Return the first header of a lower-case name, or None."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def announced_bytes(scope: Any) -> int | None:
    """Return how long a body is by its Content-Length; None where it has none, or no plain number."""
    text = header(scope, b"content-length")
    if text is None or len(text) > _LENGTH_DIGITS_MAX or not text.isdecimal():
        return None
    return int(text)


def refuse_repeated_headers(scope: Any) -> None:
    """Raise `BadHeader` where a header that may come once comes again.

    Proxies and servers differ in which of two counts, so what one has judged another would act on.
    """
    names = [name for name, _ in scope["headers"] if name in _SINGLE]
    if len(names) > 1 and len(names) != len(set(names)):
        faults = [
            Fault(told, "repeated", "may be given once only")
            for name, told in _SINGLE.items()
            if names.count(name) > 1
        ]
        raise BadHeader(detail=f"{faults[0].pointer} {faults[0].detail}", errors=faults)


def request_id_of(scope: Any) -> str:
    """Return the request's id, the same for every call with this scope."""
    known: str | None = scope.get(REQUEST_ID)
    if known is None:
        sent = next((value for key, value in scope["headers"] if key == b"x-request-id"), b"")
        known = sent.decode() if _HARMLESS.fullmatch(sent) else f"{_PROCESS}{next(_numbers):08x}"
        scope[REQUEST_ID] = known
    return known
