"""The three trace files: demand, supply and quotes. See `docs/replay.md` for their columns.

Bids must come in order of submission, because they are streamed: one that goes back in time is a fault of
its line. Ids are unique within a file; a second use is a fault of the second line.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from exchange.kit.clock import parse_rfc3339
from exchange.replay.lines import FieldFaultError, read_rows
from exchange.replay.models import GPU_MILLI_WHOLE, LineFault, Quote, TraceBid, TraceOffer

BID_COLUMNS: Final = ("order_id", "submitted_at|submitted_s", "buyer", "gpus", "hours")
OFFER_COLUMNS: Final = ("offer_id", "provider", "gpu_model", "gpus")
QUOTE_COLUMNS: Final = ("gpu_model", "ask_usd_gpu_h")
# A trace that counts seconds from its own beginning begins here.
SECONDS_ORIGIN_US: Final = 1_672_531_200_000_000  # 2023-01-01T00:00:00Z
GPUS_MAX: Final = 1_000_000
HOURS_MAX: Final = 24 * 366 * 10
USD_MAX: Final = 10_000
BEST_EFFORT_BUYERS: Final = frozenset({"qos-BE"})

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,12}", re.ASCII)


def read_bids(path: Path) -> Iterator[TraceBid | LineFault]:
    """Yield the jobs of a demand trace in order of submission, and the faults of its broken lines."""
    seen: set[str] = set()
    latest_us = 0

    def parse(line: int, row: Mapping[str, str]) -> TraceBid:
        nonlocal latest_us
        bid = _bid(line, row)
        if bid.submitted_at_us < latest_us:
            field = "submitted_at" if "submitted_at" in row else "submitted_s"
            raise FieldFaultError(field, "must not be before the line above", row[field])
        _once(seen, "order_id", bid.order_id)
        latest_us = bid.submitted_at_us
        return bid

    return read_rows(path, BID_COLUMNS, parse)


def read_offers(path: Path) -> Iterator[TraceOffer | LineFault]:
    """Yield the nodes of a supply trace."""
    seen: set[str] = set()

    def parse(line: int, row: Mapping[str, str]) -> TraceOffer:
        offer = TraceOffer(
            line=line,
            offer_id=_id(row, "offer_id"),
            provider=_name(row, "provider"),
            model=_name(row, "gpu_model"),
            quantity_gpus=_whole(row, "gpus", GPUS_MAX),
        )
        _once(seen, "offer_id", offer.offer_id)
        return offer

    return read_rows(path, OFFER_COLUMNS, parse)


def read_quotes(path: Path) -> Iterator[Quote | LineFault]:
    """Yield the quotes of a price trace."""
    return read_rows(path, QUOTE_COLUMNS, _quote)


def _quote(line: int, row: Mapping[str, str]) -> Quote:
    text = row["ask_usd_gpu_h"]
    rule = f"must be a price in USD above 0 and at most {USD_MAX}"
    try:
        usd = Decimal(text)
    except InvalidOperation as error:
        raise FieldFaultError("ask_usd_gpu_h", rule, text) from error
    if not usd.is_finite() or not 0 < usd <= USD_MAX:
        raise FieldFaultError("ask_usd_gpu_h", rule, text)
    return Quote(line=line, model=_name(row, "gpu_model"), ask_micro_usd_per_gpu_hour=int(usd * 1_000_000))


def _bid(line: int, row: Mapping[str, str]) -> TraceBid:
    buyer = _name(row, "buyer")
    return TraceBid(
        line=line,
        order_id=_id(row, "order_id"),
        submitted_at_us=_submitted_at_us(row),
        buyer=buyer,
        # A source may repeat an alternative; the first mention counts.
        models=tuple(dict.fromkeys(model for model in row.get("gpu_model", "").split("|") if model)),
        quantity_gpus=_whole(row, "gpus", GPUS_MAX),
        gpu_milli=_whole(row, "gpu_milli", GPU_MILLI_WHOLE) if row.get("gpu_milli") else GPU_MILLI_WHOLE,
        hours=_whole(row, "hours", HOURS_MAX),
        interruptible=_interruptible(row, buyer),
    )


def _submitted_at_us(row: Mapping[str, str]) -> int:
    if "submitted_at" in row:
        moment_us = parse_rfc3339(row["submitted_at"])
        if moment_us is None or moment_us < 0:
            raise FieldFaultError("submitted_at", "must be an RFC 3339 time since 1970", row["submitted_at"])
        return moment_us
    return SECONDS_ORIGIN_US + _whole(row, "submitted_s", 10**10, least=0) * 1_000_000


def _interruptible(row: Mapping[str, str], buyer: str) -> bool:
    text = row.get("interruptible", "")
    if text not in {"", "0", "1"}:
        raise FieldFaultError("interruptible", "must be 0, 1 or empty", text)
    return text == "1" or buyer in BEST_EFFORT_BUYERS


def _whole(row: Mapping[str, str], field: str, most: int, *, least: int = 1) -> int:
    text = row[field]
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise FieldFaultError(field, f"must be a whole number from {least} to {most}", text)
    return int(text)


def _id(row: Mapping[str, str], field: str) -> str:
    if not _ID.fullmatch(row[field]):
        raise FieldFaultError(field, "must be 1 to 64 of A-Z a-z 0-9 . _ -", row[field])
    return row[field]


def _name(row: Mapping[str, str], field: str) -> str:
    text = row[field]
    if not 1 <= len(text) <= 100 or not text.isprintable():  # noqa: PLR2004
        raise FieldFaultError(field, "must be 1 to 100 printable characters", text)
    return text


def _once(seen: set[str], field: str, value: str) -> None:
    if value in seen:
        raise FieldFaultError(field, "must be unique in the file", value)
    seen.add(value)
