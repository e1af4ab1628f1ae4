"""Goal: an answer of Redis is read as it was written, however it comes. Method: drawn ones, cut anywhere."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import InvalidResponse, ResponseError

from exchange.kit.resp import Incomplete, pack, parse
from tests.hypothesis_profiles import examples

PLAIN = st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=20)
ANSWERS = st.recursive(PLAIN, lambda each: st.lists(each, max_size=4), max_leaves=12)


def written(answer: Any) -> bytes:
    """Return an answer as Redis writes it."""
    if answer is None:
        return b"$-1\r\n"
    if isinstance(answer, int):
        return b":%d\r\n" % answer
    if isinstance(answer, bytes):
        return b"$%d\r\n%b\r\n" % (len(answer), answer)
    return b"*%d\r\n" % len(answer) + b"".join(written(each) for each in answer)


@examples(200)
@given(ANSWERS, ANSWERS)
def test_an_answer_is_read_once_it_is_whole_and_the_next_one_stays(first: Any, second: Any) -> None:
    data = written(first) + written(second)
    ends = len(written(first))
    for cut in range(ends):
        with pytest.raises(Incomplete) as incomplete:
            parse(data[:cut])
        assert cut < incomplete.value.least_bytes <= ends
    assert parse(bytearray(data)) == (first, ends)
    assert parse(data, ends) == (second, len(data))


def test_lines_errors_and_what_is_none() -> None:
    assert parse(b"+OK\r\n") == (b"OK", 5)
    assert parse(b"*-1\r\n") == (None, 5)
    error, _ = parse(b"-WRONGTYPE of \xff\r\n")
    assert isinstance(error, ResponseError)
    assert str(error).startswith("WRONGTYPE")
    with pytest.raises(InvalidResponse):
        parse(b"HTTP/1.1 400\r\n")


@examples(100)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.integers(-9, 9))
def test_commands_are_packed_as_arrays_of_texts(words: list[bytes], number: int) -> None:
    data = pack([[*words, number, "价格"], ["PING"]])
    first, ends = parse(data)
    assert first == [*words, str(number).encode(), "价格".encode()]
    assert parse(data, ends) == ([b"PING"], len(data))
