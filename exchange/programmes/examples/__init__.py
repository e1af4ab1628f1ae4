"""The real programmes of the world as documents to post: see README.md here for what is reported of them."""

from importlib.resources import files
from typing import Final

_FOLDER: Final = files("exchange.programmes.examples")

EXAMPLES: Final = tuple(sorted(each.name[:-5] for each in _FOLDER.iterdir() if each.name.endswith(".json")))
"""The names of the examples."""


def example(name: str) -> bytes:
    """Return an example as the JSON that an issuer posts; raises KeyError for an unknown name."""
    if name not in EXAMPLES:
        raise KeyError(name)
    return (_FOLDER / f"{name}.json").read_bytes()
