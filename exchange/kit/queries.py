"""Named SQL: each domain's statements live in its queries.sql, and code asks for them by name.

File form: a line `-- name: lock_accounts`, a comment of at least one line that says what for, then one
statement. The name stays in the text sent to the server, so that its log and pg_stat_activity show it.
"""

import re
from importlib.resources import files

_NAME_LINE = re.compile(r"^-- name: *(.*?) *$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


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
    head, *rest = _NAME_LINE.split(text)
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise QueriesError(f"{source}: there is SQL before the first name")
    statements: dict[str, str] = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if not _NAME.fullmatch(name):
            raise QueriesError(f"{source}: {name!r} is not a query name")
        if name in statements:
            raise QueriesError(f"{source}: two queries are named {name!r}")
        lines = body.strip().splitlines()
        purpose = [line for line in lines if line.startswith("--")]
        statement = "\n".join(line for line in lines if not line.startswith("--")).strip()
        if not purpose or not lines[0].startswith("--"):
            raise QueriesError(f"{source}: {name} does not say what it is for")
        if not statement or not statement.endswith(";"):
            raise QueriesError(f"{source}: {name} does not end with a semicolon")
        statements[name] = f"-- {name}\n{statement[:-1].rstrip()}"
    if not statements:
        raise QueriesError(f"{source}: there is no query")
    return Queries(source, statements)
