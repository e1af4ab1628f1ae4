"""Everything that is wrong for a schema, as JSON text: types, bounds, forms, and values without meaning.

A bad value says at which pointer below its field a fault must stand. `MEANINGS` knows the texts whose form a
schema can tell but whose meaning it cannot: times that do not exist, ids of another kind, no money at all.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tests.e2e.document import Description, Schema

_SAMPLES: Final = {
    "string": '"?"',
    "integer": "7",
    "boolean": "true",
    "null": "null",
    "array": "[]",
    "object": "{}",
    "number": "1.5",
}
_UNFIT_TEXTS: Final = ("NUL \\u0000", "half a pair \\ud800", "half a pair \\udfff")
_UNFIT_FORMS: Final = (
    "?",
    "",
    "x" * 5_000,
    "１２.３５",
    "line\nfeed",
    " ",
    "'; DROP TABLE orders; --",
    "null",
)
_UNFIT_NUMBERS: Final = (str(10**30), str(-(10**30)), "9" * 5_000, "1e400", "-0.5", "9223372036854775808")
_DEEP: Final = 3_000

_ID: Final = (
    "?",
    "",
    "ord",
    "trf_0000000000001",
    "par_ooooooooooooo",
    "prg_zzzzzzzzzzzzz",
    "par_1 ",
    "PAR_1",
)
_TIME: Final = (
    "2026-02-30T00:00:00Z",
    "2026-02-26T25:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "2026-02-26T23:60:00Z",
)
MEANINGS: Final[dict[str, tuple[str, ...]]] = {
    "an identifier": _ID,
    "a time": _TIME,
    "an amount": ("0", "0.00"),
    "a date": ("2026-02-30", "0000-01-01", "9999-12-31"),
    "the Ed25519 public key": ("?", "", "A" * 43 + "=", "A" * 42, "-----BEGIN PUBLIC KEY-----\n"),
    "an IP network": ("?", "", "10.0.0.1/8", "10.0.0.0/33", "::/129", "localhost"),
}


class BadValue(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON text, the pointer below its field where it is wrong, and whether the schema itself says so."""

    text: str
    below: str = ""
    by_schema: bool = True


def example(description: Description, schema: Schema) -> Any:
    """Return the least value that a schema takes."""
    chosen = next(iter(description.alternatives(schema)))
    kind = chosen.get("type", "string")
    if kind == "object":
        own = chosen["properties"]
        return {name: example(description, own[name]) for name in chosen.get("required", ())}
    if kind == "string":
        return [*chosen.get("examples", ()), *chosen.get("enum", ()), "x"][0]
    return {"integer": chosen.get("minimum", 0), "boolean": False, "array": []}[kind]


def bad_values(description: Description, schema: Schema) -> Iterator[BadValue]:
    """Yield values that a field of this schema must refuse."""
    kinds = description.kinds(schema)
    for kind, sample in _SAMPLES.items():
        if kind not in kinds:
            yield BadValue(text=sample)
    yield BadValue(text="[" * _DEEP + "]" * _DEEP, by_schema=False)
    for alternative in description.alternatives(schema):
        kind = alternative.get("type", "string")
        if kind == "string":
            yield from _bad_texts(alternative)
        elif kind == "integer":
            for text in (alternative["minimum"] - 1, alternative["maximum"] + 1, *_UNFIT_NUMBERS):
                yield BadValue(text=str(text))
        elif kind == "array":
            yield from _bad_lists(description, alternative)
        elif kind == "object":
            yield from _bad_objects(description, alternative, example(description, alternative))
        else:
            assert kind in {"boolean", "null"}, f"this test does not know how {kind} can be wrong"


def bad_fields(description: Description, schema: Schema, good: dict[str, Any]) -> Iterator[BadValue]:
    """Yield whole bodies, each a good one with one thing wrong."""
    own = description.member(schema, "object")
    assert own is not None
    yield from _bad_objects(description, own, good)


def _bad_texts(schema: Schema) -> Iterator[BadValue]:
    if "enum" in schema:
        yield BadValue(text='"no-such-value"')
        return
    for text in _UNFIT_TEXTS:
        yield BadValue(text=f'"{text}"')
    pattern, longest = schema.get("pattern"), schema.get("maxLength")
    if longest is not None:
        yield BadValue(text=json.dumps("x" * (longest + 1)))
    if schema.get("minLength"):
        yield BadValue(text='""')
    is_id = schema.get("description", "").startswith("an identifier")
    for text in _UNFIT_FORMS:
        if pattern is not None and not re.search(pattern, text):
            yield BadValue(text=json.dumps(text), by_schema=not is_id)  # an echo reads no identifiers
    for meaning, texts in MEANINGS.items():
        if schema.get("description", "").startswith(meaning):
            for text in texts:
                yield BadValue(text=json.dumps(text), by_schema=False)


def _bad_lists(description: Description, schema: Schema) -> Iterator[BadValue]:
    yield BadValue(text=f"[{','.join(['null'] * (schema['maxItems'] + 1))}]")
    if schema.get("minItems"):
        yield BadValue(text="[]")
    for item in bad_values(description, schema["items"]):
        yield BadValue(text=f"[{item.text}]", below=f"/0{item.below}", by_schema=item.by_schema)


def _bad_objects(description: Description, schema: Schema, good: dict[str, Any]) -> Iterator[BadValue]:
    assert schema["additionalProperties"] is False
    good_texts = {name: json.dumps(value) for name, value in good.items()}
    for name, member in schema["properties"].items():
        if name in schema.get("required", ()):
            yield BadValue(text=object_of(good_texts, leave_out=name), below=f"/{name}")
        nested = description.member(member, "object")
        found = (
            (each for each in bad_values(description, member))
            if nested is None or not isinstance(good.get(name), dict)
            else (*_bad_objects(description, nested, good[name]), BadValue(text="7"), BadValue(text="null"))
        )
        for each in found:
            text = object_of({**good_texts, name: each.text})
            yield BadValue(text=text, below=f"/{name}{each.below}", by_schema=each.by_schema)
        if name in good_texts:
            # The same key once more, which a careless reader would take for the value.
            doubled = f"{object_of(good_texts)[:-1]},{json.dumps(name)}:{good_texts[name]}}}"
            yield BadValue(text=doubled, below=f"/{name}")
    yield BadValue(text=object_of({**good_texts, "no_such_field": "1"}), below="/no_such_field")
    yield BadValue(text=object_of({**good_texts, "": "1"}), below="/")
    yield BadValue(text=object_of({**good_texts, "a/b~c": "1"}), below="/a~1b~0c")


def object_of(texts: dict[str, str], leave_out: str | None = None) -> str:
    """Return a JSON object of members that are JSON texts already."""
    members = (f"{json.dumps(name)}:{text}" for name, text in texts.items() if name != leave_out)
    return "{" + ",".join(members) + "}"


UNREADABLE: Final[dict[str, bytes]] = {
    "empty": b"",
    "blank": b"  \n",
    "text": b"client_order_id=1",
    "cut": b'{"name": "x"',
    "more behind": b"{} {}",
    "comment": b"{} // yes",
    "single quotes": b"{'name': 'x'}",
    "comma": b'{"name": "x",}',
    "not a number": b'{"name": NaN}',
    "infinity": b'{"name": -Infinity}',
    "leading zero": b'{"name": 01}',
    "bad escape": b'{"name": "\\x"}',
    "line feed in a text": b'{"name": "a\nb"}',
    "byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "latin-1": '{"name": "é"}'.encode("latin-1"),
    "overlong": b'{"name": "\xc0\x80"}',
    "half a surrogate pair in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "bad key": b'{"\xff": 1}',
    "deep": b"[" * 200_000,
    "deep and closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00C\xbf\xa6\xa3\x02\x00\x00\x00",
}
"""Bodies that cannot be read at all."""

NO_OBJECTS: Final = ("null", "true", "7", "1.5", '"text"', "[]", "[{}]")
"""Bodies that can be read, and are no object."""
