"""Several statements sent to PostgreSQL as one: one round trip instead of one for each.

Reading ones go together by `read_each`. For writing ones a `Bundle` stands where a connection is asked for:
`execute` only gathers; `send` sends what was gathered as one statement, whose value is the last one's. The
text is built once for each combination (every gathered statement becomes a WITH query) and prepared once for
each session.

Invariants:
- all or nothing, as any statement is; whatever fails is raised by `send`;
- every statement sees the tables as they were before all of them, so no two may touch the same rows. Foreign
  keys and AFTER triggers are checked once all are done, and see everything.

Known limits: statements begin with WITH, INSERT, UPDATE or DELETE, have no quoted names and no comments but
the line of their name; WITH queries of two of them must not share a name (ValueError).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.kit.database import Connection

Row = TypeVar("Row")

_PARAMETER_OR_TEXT: Final = re.compile(r"\$(\d+)|'[^']*'")
_NAME: Final = re.compile(r"-- *(.*)")
_QUERY: Final = re.compile(r"\s*(\w+)\s+AS\s+(?:MATERIALIZED\s+)?\(", re.IGNORECASE)
_WITH: Final = re.compile(r"WITH\s", re.IGNORECASE)
_PARENTHESIS_OR_TEXT: Final = re.compile(r"[()]|'[^']*'")


class Writer(Protocol):
    """What runs writing statements: a connection, or a `Bundle`."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement, or gather it."""
        ...


class Read(msgspec.Struct, Generic[Row], frozen=True):
    """A reading statement with its parameters; `rows` decodes its rows from a JSON array of objects."""

    query: str
    args: tuple[Any, ...]
    rows: msgspec.json.Decoder[list[Row]]


async def read_each(connection: Connection, *reads: Read[Any]) -> list[list[Any]]:
    """Run reading statements as one, on one snapshot, and return the rows of each.

    The rows they lock are locked in the order of the statements.
    """
    text = _read_text(tuple(read.query for read in reads), tuple(len(read.args) for read in reads))
    found = await connection.fetchrow(text, *(arg for read in reads for arg in read.args))
    if found is None:
        raise AssertionError("a SELECT without FROM has one row")
    return [read.rows.decode(column) for read, column in zip(reads, found, strict=True)]


@lru_cache(maxsize=64)
def _read_text(queries: Sequence[str], counts: Sequence[int]) -> str:
    columns = []
    before = 0
    for query, count in zip(queries, counts, strict=True):
        rows = f"SELECT coalesce(json_agg(read), '[]') FROM ({_renumbered(query, before)}) AS read"  # noqa: S608 - our own
        columns.append(f"({rows})::text")
        before += count
    return f"{_head(queries)}SELECT {', '.join(columns)}"


class Bundle:
    """Gathers statements with their parameters, to be sent together."""

    def __init__(self) -> None:
        """Begin with nothing gathered."""
        self._queries: list[str] = []
        self._args: list[Any] = []
        self._counts: list[int] = []

    async def execute(self, query: str, *args: Any) -> str:
        """Gather a statement, without waiting for anything; it is run by `send`."""
        self._queries.append(query)
        self._args.extend(args)
        self._counts.append(len(args))
        return ""

    async def send(self, connection: Connection) -> Any:
        """Run everything gathered, and return the first value of the last statement's first row.

        Where nothing was gathered, nothing is sent.
        """
        if not self._queries:
            return None
        return await connection.fetchval(combined(tuple(self._queries), tuple(self._counts)), *self._args)


@lru_cache(maxsize=256)
def combined(queries: Sequence[str], counts: Sequence[int]) -> str:
    """Return statements with so many parameters each as one, whose result is the last one's.

    Its parameters are those of the first, then of the second, and so on. It begins with their names.
    """
    withs: dict[str, str] = {}
    bodies = []
    before = 0
    for number, (query, count) in enumerate(zip(queries, counts, strict=True), 1):
        own, body = _parts(_renumbered(query, before))
        before += count
        shared = withs.keys() & own.keys()
        if shared:
            raise ValueError(f"two statements of a bundle have a query named {', '.join(sorted(shared))}")
        withs |= own
        bodies.append(body)
        if number < len(queries):
            withs[f"statement_{number}"] = f"statement_{number} AS (\n{body}\n)"
    head = _head(queries)
    return f"{head}WITH {', '.join(withs.values())}\n{bodies[-1]}" if withs else f"{head}{bodies[-1]}"


def _head(queries: Sequence[str]) -> str:
    names = ", ".join(found[1] for found in map(_NAME.match, queries) if found)
    return f"-- {names}\n" if names else ""


def _renumbered(query: str, before: int) -> str:
    lines = query.split("\n")
    text = "\n".join(line for line in lines if not line.startswith("--")).strip()
    return _PARAMETER_OR_TEXT.sub(
        lambda found: found[0] if found[1] is None else f"${int(found[1]) + before}", text
    )


def _parts(text: str) -> tuple[dict[str, str], str]:
    """Take a statement's WITH queries, by name, from its body."""
    opening = _WITH.match(text)
    if opening is None:
        return {}, text
    queries = {}
    at = opening.end()
    while True:
        head = _QUERY.match(text, at)
        if head is None:
            raise ValueError(f"not a WITH query: {text[at : at + 40]!r}")
        ends = _closing(text, head.end())
        queries[head[1]] = text[at:ends].strip()
        rest = text[ends:].lstrip()
        if not rest.startswith(","):
            return queries, rest
        at = text.index(",", ends) + 1


def _closing(text: str, at: int) -> int:
    """Return the place after the parenthesis that closes the one before `at`."""
    depth = 1
    for found in _PARENTHESIS_OR_TEXT.finditer(text, at):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    raise ValueError("a parenthesis is not closed")
