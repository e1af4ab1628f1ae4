"""The cookie of a console session, and where a request with one must come from.

A browser sends cookies of itself, also with requests that a page of another site makes it send. So with a
cookie whatever may change something, and the handshake of a WebSocket, must come from the exchange's own
pages: browsers say so in `Sec-Fetch-Site`, and where they do not (plain HTTP), `Origin` must be the origin
that the request itself went to. Pages can set neither header. `SameSite=Strict` holds beside it.

By HTTPS the cookie is `__Host-cx_session` and `Secure`: no other host can set or read it, nor anyone on the
way. By plain HTTP it is `cx_session`. Which of the two it was the server knows of the connection, or a
trusted proxy says (`X-Forwarded-Proto`).

Known limit: by plain HTTP another program on the same host and another port is sent the cookie too.
"""

from typing import Any, Final

from exchange.kit.errors import Forbidden
from exchange.kit.http_scope import header

COOKIE: Final = "cx_session"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_ATTRIBUTES: Final = "HttpOnly; SameSite=Strict; Path=/"


def scheme_of(scope: Any) -> str:
    """Return `https` or `http`, by which a request came; that of the handshake for a WebSocket."""
    return "https" if scope["scheme"] in {"https", "wss"} else "http"


def origin_of(scope: Any) -> str:
    """Return the origin that a request went to, as browsers write it: `https://exchange.example`."""
    scheme = scheme_of(scope)
    host = (header(scope, b"host") or "").lower()
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS[scheme])}"


def cookie_name(scope: Any) -> str:
    """Return the name that a session's cookie has by this scheme."""
    return f"__Host-{COOKIE}" if scheme_of(scope) == "https" else COOKIE


def session_text(scope: Any) -> str | None:
    """Return what a request's cookie of a session says, None without one; the first of several."""
    name = cookie_name(scope)
    for key, value in scope["headers"]:
        if key == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                found, equals, text = pair.strip().partition("=")
                if equals and found == name:
                    return str(text)
    return None


def session_cookie(scope: Any, text: str, max_age_s: int) -> str:
    """Return the `Set-Cookie` that gives a browser its session."""
    return f"{cookie_name(scope)}={text}; {_ATTRIBUTES}; Max-Age={max_age_s}{_secure(scope)}"


def cleared_cookie(scope: Any) -> str:
    """Return the `Set-Cookie` that takes it away."""
    return session_cookie(scope, "", 0)


def must_be_same_origin(scope: Any) -> None:
    """Raise `Forbidden` (cross_site) where another site may have made a browser send this."""
    if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
        return
    site = header(scope, b"sec-fetch-site")
    if site == "same-origin" or (site is None and header(scope, b"origin") == origin_of(scope)):
        return
    raise Forbidden(
        "cross_site", "with a session, or to begin one, this is taken from the exchange's own pages only"
    )


def _secure(scope: Any) -> str:
    return "; Secure" if scheme_of(scope) == "https" else ""
