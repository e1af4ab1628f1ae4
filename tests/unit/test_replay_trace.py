"""Goal: whatever is wrong with a line is said by number and field, and every other line is read.

Method: each kind of damage stands between good lines, plain and compressed.
"""

import gzip
from pathlib import Path

import pytest

from exchange.replay.lines import FileFaultError
from exchange.replay.models import LineFault, Quote, TraceBid, TraceOffer
from exchange.replay.trace import read_bids, read_offers, read_quotes

HEADER = b"order_id,submitted_at,buyer,gpu_model,gpus,hours\n"
GOOD = b"good-%d,2017-09-24T%02d:00:00Z,vc,,1,2\n"


def write(folder: Path, body: bytes, name: str = "bids.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    return path


@pytest.mark.parametrize("name", ["bids.csv", "bids.csv.gz"])
@pytest.mark.parametrize(
    "line, field",
    [
        (b"bad,2017-09-24T02:00:00Z,vc,,0,2", "gpus"),
        (b"bad,2017-09-24T02:00:00Z,vc,,1.5,2", "gpus"),
        (b"bad,2017-09-24T02:00:00Z,vc,,-1,2", "gpus"),
        (b"bad,2017-09-24T02:00:00Z,vc,,\xd9\xa1,2", "gpus"),
        (b"bad,2017-09-24T02:00:00Z,vc,,1,0", "hours"),
        (b"bad,2017-09-24T02:00:00Z,vc,,1,99999999", "hours"),
        (b"bad,yesterday,vc,,1,2", "submitted_at"),
        (b"bad,2017-09-24T00:00:00Z,vc,,1,2", "submitted_at"),
        (b"b d,2017-09-24T02:00:00Z,vc,,1,2", "order_id"),
        (b"good-1,2017-09-24T02:00:00Z,vc,,1,2", "order_id"),
        (b"bad,2017-09-24T02:00:00Z,,,1,2", "buyer"),
        (b"bad,2017-09-24T02:00:00Z,vc,,1", ""),
        (b"bad,2017-09-24T02:00:00Z,vc,,1,2,3", ""),
        (b'bad,2017-09-24T02:00:00Z,"vc,,1,2', ""),
        (b"bad,2017-09-24T02:00:00Z,v\xff,,1,2", ""),
        (b"bad,2017-09-24T02:00:00Z,v\x00,,1,2", ""),
        (b"bad," + b"x" * 70_000, ""),
    ],
)
def test_a_broken_line_is_named_and_the_rest_is_read(
    tmp_path: Path, name: str, line: bytes, field: str
) -> None:
    rows = list(read_bids(write(tmp_path, HEADER + GOOD % (1, 1) + line + b"\r\n" + GOOD % (2, 3), name)))
    first, fault, last = rows
    assert isinstance(first, TraceBid)
    assert isinstance(last, TraceBid)
    assert (first.order_id, last.order_id) == ("good-1", "good-2")
    assert isinstance(fault, LineFault)
    assert (fault.file, fault.line, fault.field) == (name, 3, field)
    assert f"{name}:3" in str(fault)


def test_empty_lines_and_order_of_columns_do_not_matter(tmp_path: Path) -> None:
    header = b"\xef\xbb\xbfhours,gpus,buyer,extra,submitted_at,order_id\r\n\r\n"
    body = header + b'3,4,"v,c",x,2017-09-24T01:30:00+01:00,j\r\n'
    (bid,) = read_bids(write(tmp_path, body))
    assert isinstance(bid, TraceBid)
    assert (bid.order_id, bid.buyer, bid.quantity_gpus, bid.hours, bid.models) == ("j", "v,c", 4, 3, ())
    assert bid.submitted_at_us == 1_506_213_000_000_000
    assert bid.line == 3


def test_alternatives_parts_and_seconds_are_read(tmp_path: Path) -> None:
    body = b"order_id,submitted_s,buyer,gpu_model,gpus,gpu_milli,hours\np,3600,qos-BE,T4|V100M16|T4,1,460,2\n"
    (bid,) = read_bids(write(tmp_path, body))
    assert isinstance(bid, TraceBid)
    assert bid.models == ("T4", "V100M16")
    assert (bid.gpu_milli, bid.interruptible) == (460, True)
    assert bid.submitted_at_us == 1_672_531_200_000_000 + 3_600_000_000


@pytest.mark.parametrize(
    "body, said",
    [(b"", "empty"), (b"order_id,buyer,gpus\n", "submitted_at|submitted_s, hours"), (b"\xff\n", "UTF-8")],
)
def test_a_file_without_its_columns_is_refused_whole(tmp_path: Path, body: bytes, said: str) -> None:
    with pytest.raises(FileFaultError, match=said.replace("|", r"\|")):
        list(read_bids(write(tmp_path, body)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFaultError, match=r"nowhere\.csv"):
        list(read_bids(tmp_path / "nowhere.csv"))


def test_a_compressed_file_that_ends_early_gives_what_it_had_and_a_fault(tmp_path: Path) -> None:
    body = HEADER + b"".join(GOOD % (number, number) for number in range(20))
    path = tmp_path / "bids.csv.gz"
    whole = gzip.compress(body)
    path.write_bytes(whole[: len(whole) - 4])
    *bids, fault = read_bids(path)
    assert len(bids) == 20
    assert isinstance(fault, LineFault)


def test_what_is_not_compressed_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "bids.csv.gz"
    path.write_bytes(HEADER)
    with pytest.raises(FileFaultError, match="gzip"):
        list(read_bids(path))


def test_offers_and_quotes_name_their_faults(tmp_path: Path) -> None:
    offers = b"offer_id,provider,gpu_model,gpus\nn1,p,T4,8\nn1,p,T4,8\nn2,p,,8\nn3,p,T4,x\n"
    first, *faults = read_offers(write(tmp_path, offers, "offers.csv"))
    assert first == TraceOffer(line=2, offer_id="n1", provider="p", model="T4", quantity_gpus=8)
    assert [(fault.line, fault.field) for fault in faults if isinstance(fault, LineFault)] == [
        (3, "offer_id"),
        (4, "gpu_model"),
        (5, "gpus"),
    ]
    quotes = b"gpu_model,ask_usd_gpu_h\nT4,0.53\nT4,\nT4,NaN\nT4,-1\nT4,1e9\n"
    quote, *quote_faults = read_quotes(write(tmp_path, quotes, "quotes.csv"))
    assert quote == Quote(line=2, model="T4", ask_micro_usd_per_gpu_hour=530_000)
    assert [(fault.line, fault.field) for fault in quote_faults if isinstance(fault, LineFault)] == [
        (line, "ask_usd_gpu_h") for line in (3, 4, 5, 6)
    ]
