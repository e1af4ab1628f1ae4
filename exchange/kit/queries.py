"""Named SQL: each domain's statements live in its queries.sql, and code asks for them by name.

File form: a line `-- name: lock_accounts`, a comment of at least one line that says what for, then one
statement. The name stays in the text sent to the server, so that its log and pg_stat_activity show it.

What several statements of a file share stands there once, before them: a line `-- part: fits`, a comment,
and SQL without a semicolon. It comes in wherever a statement has `{fits}`.
"""

import re
from importlib.resources import files

_HEAD_LINE = re.compile(r"^-- (name|part): *(.*?) *$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PART = re.compile(r"\{([a-z][a-z0-9_]*)\}")


class QueriesError(Exception):
    """A queries.sql breaks its form; the message names file and query."""


class Queries:
    """The statements of one domain, as attributes."""

    def __init__(self, source: str, statements: dict[str, str]) -> None:
        """Hold the statements of a file called `source`."""
        self._source = source
        self._statements = statements

    def __getattr__(self, name: str) -> str:
        """Return the text of a statement. AttributeError where there is none of this name."""
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self._source} has no query named {name!r}") from None

    def __dir__(self) -> list[str]:
        """Return the names."""
        return sorted(self._statements)


def load_queries(package: str) -> Queries:
    """Read the queries.sql of a package such as `exchange.ledger`. QueriesError for a file out of form."""
    source = f"{package}/queries.sql"
    return parse_queries(source, files(package).joinpath("queries.sql").read_text(encoding="utf-8"))


def parse_queries(source: str, text: str) -> Queries:
    """Read the text of a queries.sql; `source` names it in errors."""
    head, *rest = _HEAD_LINE.split(text)
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise QueriesError(f"{source}: there is SQL before the first name")
    statements: dict[str, str] = {}
    parts: dict[str, str] = {}
    used: set[str] = set()
    for kind, name, body in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        if not _NAME.fullmatch(name):
            raise QueriesError(f"{source}: {name!r} is not a query name")
        if name in statements or name in parts:
            raise QueriesError(f"{source}: two queries are named {name!r}")
        sql = _sql_of(source, name, body)
        if kind == "part":
            parts[name] = sql
            continue
        if not sql.endswith(";"):
            raise QueriesError(f"{source}: {name} does not end with a semicolon")
        wanted = set(_PART.findall(sql))
        if unknown := sorted(wanted - parts.keys()):
            raise QueriesError(f"{source}: {name} has no part {unknown[0]!r} before it")
        used |= wanted
        whole = _PART.sub(lambda found: parts[found[1]], sql[:-1])
        statements[name] = f"-- {name}\n{whole.rstrip()}"
    if unused := sorted(parts.keys() - used):
        raise QueriesError(f"{source}: no query has the part {unused[0]!r}")
    if not statements:
        raise QueriesError(f"{source}: there is no query")
    return Queries(source, statements)


def _sql_of(source: str, name: str, body: str) -> str:
    """Return what follows the comment that says what a statement or a part is for."""
    lines = body.strip().splitlines()
    if not lines or not lines[0].startswith("--"):
        raise QueriesError(f"{source}: {name} does not say what it is for")
    return "\n".join(line for line in lines if not line.startswith("--")).strip()
