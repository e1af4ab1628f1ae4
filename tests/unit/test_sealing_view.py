"""Goal: operators are warned exactly where nobody alive can sign, or records have waited for too long.

Method: every mix of who has the key and how long records wait, against the words of the
handbook.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.monitoring.models import DatabaseConnections, ProcessReport, Told
from exchange.monitoring.sealing import LATE_PERIODS, notes_of, sealing_view
from exchange.transparency.models import SealStanding

STANDING = SealStanding(size=7, sealed_at_us=1_790_000_000_000_000, unsealed_records=3)


def process(*, can_sign: bool) -> Told:
    report = ProcessReport(
        troubles=[],
        database_connections=DatabaseConnections(lent=0, idle=1, most=1),
        redis=None,
        notices_heard=True,
        alerts_reading=False,
        can_sign=can_sign,
        seal_doubt=None,
        stream_readers=0,
        connections=None,
        partitions=[],
    )
    return Told(report=report, alerts_read_record=0, commits={})


processes = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans())


@given(given_=processes, periods=st.floats(0, 10), period_s=st.sampled_from([1.0, 30.0, 3600.0]))
def test_warnings_are_as_the_handbook_says(given_: dict[str, bool], periods: float, period_s: float) -> None:
    told = {name: process(can_sign=can_sign) for name, can_sign in given_.items()}
    waiting_s = periods * period_s
    view = sealing_view(STANDING, told, waiting_s=waiting_s, period_s=period_s)
    assert view.signers == sorted(name for name, can_sign in given_.items() if can_sign)
    assert ("nobody_can_sign" in view.warnings) == (not view.signers)
    assert ("late" in view.warnings) == (waiting_s > 4 * period_s)
    assert len(notes_of(view)) == len(view.warnings)
    assert (view.size, view.unsealed_records, view.sealed_at) == (7, 3, "2026-09-21T14:13:20Z")


def test_notes_say_what_is_wrong_in_words_and_nothing_before_the_first_look() -> None:
    assert notes_of(None) == ()
    view = sealing_view(STANDING, {}, waiting_s=LATE_PERIODS * 30.0 + 1, period_s=30.0)
    assert notes_of(view) == (
        "the record is not sealed: no process holds the signing key",
        "the record is not sealed in time: records have waited for 121 s",
    )


@pytest.mark.parametrize("waiting_s", [0.0, LATE_PERIODS * 30.0])
def test_who_signs_in_time_is_no_reason_to_act(waiting_s: float) -> None:
    view = sealing_view(STANDING, {"a": process(can_sign=True)}, waiting_s=waiting_s, period_s=30.0)
    assert (view.warnings, notes_of(view)) == ([], ())
