"""What a query must refuse, percent-encoded: by its schema, by the meaning of a text, or of some together."""

import base64
import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from tests.e2e.bad_values import MEANINGS, example
from tests.e2e.document import Description, Operation, Schema

_NO_NUMBERS: Final = ("x", "", "1.5", "0x1", "1_0", "%EF%BC%91", "%001", "true")
_NO_TRUTHS: Final = ("maybe", "1", "TRUE", "")
_NO_CURSORS: Final = ("%3F", "rubbish", "", "e30", "W10", "bnVsbA", "%00")
_LISTS: Final = (
    "orders",
    "trades",
    "leases",
    "keys",
    "claims",
    "claim_lines",
    "claim_steps",
    "oversight-trades-newest_first",
    "oversight-events-newest_first",
    "oversight-questions",
    "oversight-voucher-movements",
    "oversight-book",
    "checkpoints",
    "alerts",
    "alert_rules",
    "buyers",
    "sessions",
)
EXTREMES: Final[tuple[int | str, ...]] = (
    *(sign * 2**bits + step for bits in (31, 32, 53, 58, 62, 63) for sign in (1, -1) for step in (-1, 0, 1)),
    *(0, -1, 253_402_300_800_000_000, -62_135_596_800_000_001, "", "\0", "a\0b", "\U0010ffff", "x" * 200),
)
"""Parts of cursors at and beyond what columns can hold; the long numbers are the first times out of range."""
_SENSELESS: Final = {
    **dict.fromkeys(("product", "accelerator", "hub", "interconnect"), "no-such-thing"),
    "cursor": "rubbish",
    "reason": "%20",
}
"""Of parameters whose schema does not tell what they mean: a name that nothing has, nothing to see."""
_SPANS: Final = (("starts", "ends"), ("from", "until"), ("_min_", "_max_"), ("old_", "new_"))
_INVERTED: Final = {
    "a time": ("2026-02-26T09:00:00Z", "2026-02-26T08:00:00Z"),
    "an amount": ("2", "1"),
    "a date": ("2026-02-26", "2026-02-25"),
    "how many": ("2", "1"),
}
"""By what a parameter is said to be: two values in the wrong order."""
_NO_IDS: Final = (2**63, 1.5, None, "x", [1])


def cursor_of(*parts: object) -> str:
    """Return a cursor of these parts, in the form of real ones."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


def by_schema(description: Description, name: str, schema: Schema) -> Iterator[str]:
    """Yield values that break the schema of a parameter; of a cursor, all that no page has given."""
    if name == "cursor":
        yield from _NO_CURSORS
        yield cursor_of("another-list", 1)
        yield from (cursor_of(list_name, part) for list_name in _LISTS for part in _NO_IDS)
        return
    for each in description.alternatives(schema):
        kind = each.get("type", "string")
        if kind == "array":
            yield from by_schema(description, name, each["items"])
        elif kind == "integer":
            yield from (str(number) for number in (each["minimum"] - 1, each["maximum"] + 1, 10**25))
            yield from _NO_NUMBERS
        elif kind == "boolean":
            yield from _NO_TRUTHS
        elif "enum" in each:
            yield from ("no-such-value", "", str(each["enum"][0]).upper(), "%00")
        elif kind == "string":
            yield from ("a%00b", "x" * 5_000)
            yield from ("%3F", "", "%0A") if "pattern" in each else ()


def by_meaning(description: Description, schema: Schema) -> Iterator[str]:
    """Yield values of the right form that mean nothing."""
    for each in description.alternatives(schema):
        for meaning, texts in MEANINGS.items():
            if each.get("description", "").startswith(meaning):
                yield from map(quote, texts)


def senseless(description: Description, operation: Operation) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield parameters of the right form, that mean nothing, alone or together."""
    for name, schema in operation.query.items():
        text = next(by_meaning(description, schema), None) or _SENSELESS.get(name)
        if text is not None:
            yield ((name, text),)
        latter = next((name.replace(*ends) for ends in _SPANS if ends[0] in name), name)
        if latter != name and latter in operation.query:
            told = next(description.alternatives(schema)).get("description", "")
            larger, smaller = next(both for words, both in _INVERTED.items() if told.startswith(words))
            yield (name, larger), (latter, smaller)


def required_of(description: Description, operation: Operation) -> dict[str, str]:
    """Return the parameters that a query cannot do without, each with a value of the right form."""
    return {
        name: quote(str(example(description, schema)))
        for name, schema in operation.query.items()
        if "default" not in schema
    }


def query_of(required: dict[str, str], *given: tuple[str, str]) -> str:
    """Return a query string of what is given, and of what else is required."""
    names = {name for name, _ in given}
    rest = ((name, text) for name, text in required.items() if name not in names)
    return "&".join(f"{name}={text}" for name, text in (*given, *rest))
