"""Text fields with a meaning: money, hours, identifiers. Types for input structs, and readers of their text.

The types check the form while the body is decoded (and show it in the OpenAPI page); the readers turn good
text into the integers of the domain. A reader given `msgspec.UNSET` (a field already at fault) or None says
nothing and returns None, so that rules can go on to the next field.
"""

import unicodedata
from typing import Annotated, Final

import msgspec

from exchange.kit.clock import US_PER_HOUR, format_rfc3339, parse_rfc3339, us_of_hour
from exchange.kit.errors import Fault, Faults, InvalidInput
from exchange.kit.ids import decode_id, id_pattern

FEN_MAX: Final = 10**15 - 1
"""Largest amount a caller may name, in fen; sums of nine thousand of them still fit 63 bits."""

_TEXT_MAX: Final = 40

Readable = str | msgspec.UnsetType | None


def exact(body: str) -> str:
    """Return a pattern for the whole text; unlike a bare `$` it lets no line feed through at the end."""
    return rf"^(?:{body})$(?!\n)"


CnyText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"(?:0|[1-9][0-9]{0,12})(?:\.[0-9]{1,2})?"),
        description="an amount in CNY as a decimal string with at most two decimals, such as 12.35",
        examples=["12.35"],
    ),
]
"""Money and prices in a body: `"12.35"`, at most 9999999999999.99."""

TimeText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
            r"(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
        ),
        description="a time in RFC 3339 form, such as 2026-11-23T09:00:00Z",
        examples=["2026-11-23T09:00:00Z"],
    ),
]
"""A time; whether it exists and is on the hour is for `time_us` and `whole_hour` to say."""


def _id_meta(prefix: str) -> msgspec.Meta:
    """Return what holds for an identifier; its form is in the API page, and `typed_id` checks it."""
    return msgspec.Meta(
        max_length=_TEXT_MAX,
        description=f"an identifier that begins with {prefix}_",
        extra_json_schema={"pattern": exact(id_pattern(prefix))},
    )


AccountIdText = Annotated[str, _id_meta("acc")]
OrderIdText = Annotated[str, _id_meta("ord")]
ParticipantIdText = Annotated[str, _id_meta("par")]
ProgrammeIdText = Annotated[str, _id_meta("prg")]
TradeGroupIdText = Annotated[str, _id_meta("grp")]
VoucherIdText = Annotated[str, _id_meta("vch")]

ClientText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[A-Za-z0-9._-]{1,64}"), description="1 to 64 characters of A-Z a-z 0-9 . _ -"
    ),
]
"""A name the caller chooses, such as `client_order_id`."""

SlugText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[a-z0-9][a-z0-9.-]{0,99}"),
        description="1 to 100 characters of a-z 0-9 . -, such as nvidia-h100-sxm",
    ),
]
"""The text id of a product, accelerator or hub."""

NameText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
"""A name for people, in any script; whether it can be seen is for `exchange.kit.names` to say."""


_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS: Final = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def is_filler(character: str) -> bool:
    """Whether a character takes the place of one and shows nothing."""
    return character in _FILLERS


def is_selector(character: str) -> bool:
    """Whether a character only says how the one before it is drawn."""
    return any(ord(character) in span for span in _SELECTORS)


def is_blank(text: str) -> bool:
    """Whether a text has nothing to see: it is empty, or blanks, zero-width characters and fillers only."""
    return all(
        unicodedata.category(each) in _INVISIBLE or is_filler(each) or is_selector(each) for each in text
    )


def refuse_blank_reason(reason: str, rule: str) -> None:
    """Raise `InvalidInput` where a step's reason has nothing to see; `rule` tells what a reason is for."""
    if is_blank(reason):
        fault = Fault("/reason", "required", rule, reason)
        raise InvalidInput(detail=f"{fault.pointer} {fault.detail}", errors=[fault])


def money_fen(faults: Faults, pointer: str, text: Readable) -> int | None:
    """Return a positive decimal string of CNY in fen, or record a fault and return None."""
    if not isinstance(text, str):
        return None
    whole, dot, decimals = text.partition(".")
    digits = whole + decimals.ljust(2, "0")
    wrong_form = (
        not (digits.isascii() and digits.isdigit() and whole)
        or len(decimals) > 2  # noqa: PLR2004  (1 CNY = 100 fen)
        or (dot and not decimals)
        or (len(whole) > 1 and whole[0] == "0")
    )
    if wrong_form:
        faults.add(
            pointer, "bad_amount", "must be a decimal string with at most two decimals, such as 12.35", text
        )
    elif len(digits) > len(str(FEN_MAX)):
        faults.add(pointer, "out_of_range", f"must be at most {format_cny(FEN_MAX)}", text)
    elif int(digits) == 0:
        faults.add(pointer, "not_positive", "must be above zero", text)
    else:
        return int(digits)
    return None


def format_cny(fen: int) -> str:
    """Return fen as a decimal string of CNY with two decimals; 1235 gives 12.35."""
    return f"{fen // 100}.{fen % 100:02d}" if fen >= 0 else f"-{format_cny(-fen)}"


def time_us(faults: Faults, pointer: str, text: Readable) -> int | None:
    """Return an RFC 3339 time in microseconds since the epoch, or record a fault and return None."""
    if not isinstance(text, str):
        return None
    at_us = parse_rfc3339(text) if len(text) <= _TEXT_MAX else None
    if at_us is None:
        faults.add(pointer, "bad_time", "must be a time in RFC 3339 form, such as 2026-11-23T09:00:00Z", text)
    return at_us


def whole_hour(faults: Faults, pointer: str, text: Readable) -> int | None:
    """Return an RFC 3339 time on a whole hour as hours since the epoch, or record a fault and return None."""
    at_us = time_us(faults, pointer, text)
    if at_us is None:
        return None
    if at_us % US_PER_HOUR:
        faults.add(pointer, "not_on_the_hour", "must be on a whole hour, such as 2026-11-23T09:00:00Z", text)
        return None
    return at_us // US_PER_HOUR


def format_hour(hour: int) -> str:
    """Return an hour since the epoch as RFC 3339."""
    return format_rfc3339(us_of_hour(hour))


def typed_id(faults: Faults, pointer: str, prefix: str, text: Readable) -> int | None:
    """Return the number of an identifier with the given prefix, or record a fault and return None."""
    if not isinstance(text, str):
        return None
    value = decode_id(prefix, text)
    if value is None:
        faults.add(pointer, "bad_id", f"must be an identifier that begins with {prefix}_", text)
    return value
