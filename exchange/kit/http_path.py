"""Ids in paths: read, or answered as what does not exist."""

from exchange.kit.errors import NotFound
from exchange.kit.ids import decode_id


def id_in_path(prefix: str, text: str, detail: str) -> int:
    """Return the number of an id; `NotFound` with that detail where the text is no id of this prefix."""
    value = decode_id(prefix, text)
    if value is None:
        raise NotFound(detail=detail)
    return value
