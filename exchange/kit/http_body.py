"""Bodies of requests as they come from the server: read whole, bounded, and known to have been cut off."""

from litestar.types import Receive

from exchange.kit.errors import MalformedInput, TooLarge


def cut_body() -> MalformedInput:
    """Return the refusal of a body that ends before it has come whole."""
    return MalformedInput("body_cut", "the connection ended before the whole body had come")


def refuse_larger(size: int, bytes_max: int | None) -> None:
    """Raise `TooLarge` where a body has, or announces, more bytes than a route takes."""
    if bytes_max is not None and size > bytes_max:
        raise TooLarge(detail=f"the body may have at most {bytes_max} bytes")


async def read_whole(receive: Receive, bytes_max: int | None) -> bytes:
    """Read a body that nobody has begun to read; raises `TooLarge`, and `MalformedInput` where it is cut."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise cut_body()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        refuse_larger(len(body), bytes_max)
    return bytes(body)
