"""Goal: SQL is found by name, and a file out of form stops the program at import. Method: small files."""

import pytest

from exchange.kit.queries import QueriesError, load_queries, parse_queries

GOOD = """-- A domain.

-- name: first
-- Return one.
SELECT 1;

-- name: second_one
-- Return a text
-- of several lines.
SELECT ';'
FROM pg_class;
"""


def test_statements_are_found_by_name_and_keep_it_in_their_text() -> None:
    queries = parse_queries("x", GOOD)
    assert dir(queries) == ["first", "second_one"]
    assert queries.first == "-- first\nSELECT 1"
    assert queries.second_one == "-- second_one\nSELECT ';'\nFROM pg_class"


def test_what_statements_share_is_written_once_and_comes_in_where_it_is_named() -> None:
    text = """
-- part: fits
-- Whether a row fits.
(a = $1)
    AND b = '{}'

-- name: rows
-- Those that fit.
SELECT a FROM x WHERE {fits};

-- name: count
-- How many fit.
SELECT count(*) FROM x
WHERE {fits}
    AND c;
"""
    queries = parse_queries("x", text)
    assert dir(queries) == ["count", "rows"]
    assert queries.rows == "-- rows\nSELECT a FROM x WHERE (a = $1)\n    AND b = '{}'"
    assert queries.count == "-- count\nSELECT count(*) FROM x\nWHERE (a = $1)\n    AND b = '{}'\n    AND c"


def test_an_unknown_name_raises_and_names_the_file() -> None:
    with pytest.raises(AttributeError, match="x has no query named 'third'"):
        _ = parse_queries("x", GOOD).third


@pytest.mark.parametrize(
    "text, said",
    [
        (GOOD + "-- name: first\n-- Again.\nSELECT 1;", "two queries are named 'first'"),
        ("-- name: a b\n-- Why.\nSELECT 1;", "is not a query name"),
        ("-- name: a\nSELECT 1;", "does not say what it is for"),
        ("-- name: a\n-- Why.\n", "does not end with a semicolon"),
        ("-- name: a\n-- Why.\nSELECT 1", "does not end with a semicolon"),
        ("SELECT 1;", "SQL before the first name"),
        ("-- nothing", "there is no query"),
        (GOOD + "-- part: first\n-- Again.\na", "two queries are named 'first'"),
        ("-- part: a\nb = 1", "does not say what it is for"),
        ("-- part: a\n-- Why.\nb = 1\n-- name: c\n-- Why.\nSELECT 1;", "no query has the part 'a'"),
        ("-- name: c\n-- Why.\nSELECT {a};\n-- part: a\n-- Why.\n1", "has no part 'a' before it"),
    ],
)
def test_a_file_out_of_form_is_refused(text: str, said: str) -> None:
    with pytest.raises(QueriesError, match=said):
        parse_queries("x", text)


def test_a_domains_file_is_read() -> None:
    assert dir(load_queries("exchange.ledger"))
