"""The body of a signed request: read whole and compared with the digest that was signed, before all else.

The signature is over the head, and the head has the body's SHA-256. A route that reads no body acts no sooner
than one that does: what follows a head without a digest must be nothing.
"""

from typing import Any

from litestar.types import Receive

from exchange.kit.errors import BadSignature
from exchange.kit.http_body import read_whole, refuse_larger
from exchange.kit.http_scope import announced_bytes
from exchange.kit.signatures import DIGEST, head_of, is_digest_of


async def checked_body(scope: Any, receive: Receive) -> Receive:
    """Read the body; return how the application receives it, as if it had not been read.

    Raises `BadSignature` (signature_invalid) where it is not the one that was signed, `TooLarge` where it is
    larger than the route takes, and `MalformedInput` (body_cut) where it ends too early.
    """
    bytes_max = scope["route_handler"].resolve_request_max_body_size()
    refuse_larger(announced_bytes(scope) or 0, bytes_max)
    body = await read_whole(receive, bytes_max)
    digest = head_of(scope).field(DIGEST)
    if (body or digest is not None) and not is_digest_of(body, digest):
        raise BadSignature("signature_invalid", "the body is not the one of the Content-Digest")
    whole: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return whole.pop() if whole else await receive()

    return again
