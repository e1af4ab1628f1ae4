"""Goal: statements sent as one do what they did one by one. Method: texts by hand, a recording connection."""

from typing import Any

import pytest

from exchange.kit.bundle import Bundle, combined

ADD = "-- add\nINSERT INTO thing (id) SELECT unnest($1::bigint[])"
MOVE = (
    "-- move\nWITH found AS MATERIALIZED (SELECT id FROM place WHERE name <> ')($1' AND id > $2),\n"
    "kept AS (SELECT id FROM found)\nUPDATE place SET name = $1 FROM kept WHERE kept.id = place.id"
)


class Recorder:
    """Keeps what it is asked to run."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, tuple[Any, ...]]] = []

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Keep, and return a value of its own."""
        self.runs.append((query, args))
        return 7


async def test_what_is_gathered_is_run_once_with_all_parameters_in_order() -> None:
    recorder: Any = Recorder()
    bundle = Bundle()
    await bundle.execute(ADD, [1, 2])
    await bundle.execute(MOVE, "here", 3)
    await bundle.execute("SELECT $1::int + $2::int", 4, 5)
    assert await bundle.send(recorder) == 7
    [(text, args)] = recorder.runs
    assert args == ([1, 2], "here", 3, 4, 5)
    assert text == (
        "-- add, move\nWITH statement_1 AS (\nINSERT INTO thing (id) SELECT unnest($1::bigint[])\n), "
        "found AS MATERIALIZED (SELECT id FROM place WHERE name <> ')($1' AND id > $3), "
        "kept AS (SELECT id FROM found), "
        "statement_2 AS (\nUPDATE place SET name = $2 FROM kept WHERE kept.id = place.id\n)\n"
        "SELECT $4::int + $5::int"
    )


async def test_nothing_gathered_is_not_sent() -> None:
    recorder: Any = Recorder()
    assert await Bundle().send(recorder) is None
    assert recorder.runs == []


async def test_a_single_statement_is_sent_as_it_is() -> None:
    assert combined(("SELECT $1::int",), (1,)) == "SELECT $1::int"


def test_two_queries_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="found, kept"):
        combined((MOVE, MOVE), (2, 2))


@pytest.mark.parametrize("text", ["WITH RECURSIVE x AS (SELECT 1) SELECT 2", "WITH x AS (SELECT 1 SELECT 2"])
def test_what_cannot_be_taken_apart_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"WITH query|not closed"):
        combined((text, "SELECT 1"), (0, 0))
