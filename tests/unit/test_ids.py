"""Goal: ids are ordered, unique, and read back exactly or not at all. Method: properties, threads, a fork."""

import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit import ids
from exchange.kit.clock import wall_now_us
from exchange.kit.ids import ID_MAX, PREFIXES, decode_id, encode_id, id_pattern, new_id

VALUES = st.integers(1, ID_MAX)


@given(st.sampled_from(sorted(PREFIXES)), VALUES)
def test_an_id_is_read_back_as_it_was_written(prefix: str, value: int) -> None:
    text = encode_id(prefix, value)
    assert decode_id(prefix, text) == value
    assert len(text) == len(prefix) + 14
    assert text == text.lower()


@given(VALUES, VALUES)
def test_texts_sort_as_their_values(one: int, other: int) -> None:
    assert (encode_id("ord", one) < encode_id("ord", other)) == (one < other)


@given(st.text(max_size=20))
def test_no_text_but_a_written_one_is_read(text: str) -> None:
    value = decode_id("ord", text)
    assert value is None or encode_id("ord", value) == text


@given(
    st.from_regex(id_pattern("ord"), fullmatch=True) | st.text(max_size=20) | VALUES.map("ord_{:013d}".format)
)
def test_the_pattern_tells_what_is_read(text: str) -> None:
    assert (re.fullmatch(id_pattern("ord"), text) is not None) == (decode_id("ord", text) is not None)


@given(VALUES, st.integers(4, 16), st.sampled_from("ilouILOU-_ A\u0660\uff11"))
def test_one_wrong_letter_is_refused(value: int, position: int, letter: str) -> None:
    text = encode_id("ord", value)
    assert decode_id("ord", text[:position] + letter + text[position + 1 :]) is None


@pytest.mark.parametrize(
    "text",
    [
        "trd_0000000000005",
        "ord0000000000005",
        "ord_000000000005",
        "ord_00000000000005",
        "ord_0000000000000",
        "ord_8000000000000",
        "ord_zzzzzzzzzzzzz",
        "ORD_0000000000005",
        "",
    ],
)
def test_what_is_no_order_id_is_refused(text: str) -> None:
    assert decode_id("ord", text) is None
    assert re.fullmatch(id_pattern("ord"), text) is None


@pytest.mark.parametrize("prefix, value", [("xxx", 5), ("ord", 0), ("ord", -1), ("ord", ID_MAX + 1)])
def test_what_has_no_text_raises(prefix: str, value: int) -> None:
    with pytest.raises(ValueError, match="is not an id"):
        encode_id(prefix, value)


def test_ids_strictly_increase_beyond_the_counter_of_one_millisecond() -> None:
    made = [new_id() for _ in range(20_000)]
    assert all(one < other for one, other in itertools.pairwise(made))
    assert 0 < made[0] < made[-1] <= ID_MAX


def test_ids_of_many_threads_are_all_different() -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        made = [
            value
            for batch in pool.map(lambda _: [new_id() for _ in range(2_000)], range(8))
            for value in batch
        ]
    assert len(set(made)) == len(made)


def test_ids_increase_when_the_wall_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    monkeypatch.setattr(ids, "wall_now_us", lambda: wall_now_us() - 3_600_000_000)
    assert new_id() > before


def test_a_forked_child_does_not_repeat_its_parents_ids() -> None:
    nodes = set()
    for _ in range(5):  # two processes may draw the same bits, five in a row may not
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, str(new_id()).encode())
            os._exit(0)
        os.waitpid(child, 0)
        nodes.add(int(os.read(reader, 100)) >> 6 & 65_535)
        os.close(reader)
        os.close(writer)
    nodes.add(new_id() >> 6 & 65_535)
    assert len(nodes) > 1


def test_ids_increase_under_whatever_number_and_tell_it() -> None:
    made = [new_id()]
    for number in (65_535, 0, 7, 7, 1):
        ids.use_number(number)
        for _ in range(100):
            made.append(new_id())
            assert made[-1] >> 6 & 65_535 == number
    assert all(one < other for one, other in itertools.pairwise(made))
    for number in (-1, 65_536):
        with pytest.raises(ValueError, match="number of a process"):
            ids.use_number(number)
