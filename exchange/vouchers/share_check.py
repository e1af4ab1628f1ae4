"""What a live order's shares may be at most, worked out anew from the rules that they are held under. Pure.

A share names its programme and version. That version must be there, must pay for such an order at all, and
must give it these terms and at least this rate: stacking, vouchers that do not cover it and an order that
became smaller leave a share less than its rules give, never more. Together they keep the lowest ceiling.

Known limits: the reference price that a product had at the order's time is not stored, and the catalogue
changes it. So a tier that asks for it counts as fitting where it can have fitted at some reference price, and
how high a `price_cap_ticks` by it is cannot be judged. Company and product are taken as they stand now: a
company's facts change no more once it is registered, a product's only where the catalogue is corrected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exchange.programmes.judgement import order_verdicts, rate_at_most
from exchange.vouchers.choice import ceiling_bps, share_under

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from exchange.programmes.facts import Facts
    from exchange.programmes.models import RulesVersion
    from exchange.vouchers.models import Share


class ShareFault(NamedTuple):
    """A share that its rules do not give, the rate in basis points that they allow it, and why, in words."""

    share: Share
    allowed_bps: int
    why: str


def share_faults(
    shares: Sequence[Share], versions: Mapping[int, Sequence[RulesVersion]], facts: Facts
) -> Iterator[ShareFault]:
    """Yield what is wrong with the shares of an order that is what `facts` say, a share at a time.

    `versions` are all of each programme's.
    """
    held = [_held_under(share, versions) for share in shares]
    left_bps = min([ceiling_bps(version.rules) for version in held if version], default=0)
    for share, version in zip(shares, held, strict=True):
        if version is None:
            yield ShareFault(share, 0, f"version {share.programme_version} of its rules is not there")
            continue
        allowed_bps, why = _allowed(version, facts)
        if len(shares) > 1 and version.rules.stacking != "ceiling":
            allowed_bps, why = 0, "its programme does not pay beside others"
        if allowed_bps > left_bps:
            allowed_bps, why = left_bps, f"the ceiling of all aid leaves it {left_bps} basis points"
        if share.rate_bps > allowed_bps:
            yield ShareFault(share, allowed_bps, why)
        elif other := _other_terms(share, version):
            yield ShareFault(share, allowed_bps, f"its rules give it another {' and '.join(other)}")
        left_bps = max(left_bps - share.rate_bps, 0)


def _held_under(share: Share, versions: Mapping[int, Sequence[RulesVersion]]) -> RulesVersion | None:
    found = versions.get(share.programme_id, ())
    return next((version for version in found if version.number == share.programme_version), None)


def _allowed(version: RulesVersion, facts: Facts) -> tuple[int, str]:
    rate_bps = rate_at_most(version.rules, facts)
    for verdict in order_verdicts(version.rules, facts):
        if not verdict.holds and (verdict.rule != "/rate_tiers" or not rate_bps):
            return 0, f"{verdict.rule}: {verdict.detail}"
    return rate_bps, f"its rules give such an order at most {rate_bps} basis points"


def _other_terms(share: Share, version: RulesVersion) -> list[str]:
    """Name the terms that the version gives a share otherwise; of a price cap only whether there is one."""
    given = share_under(version, share.programme_id, share.rate_bps, share.price_cap_ticks)
    other = [name for name in share.__struct_fields__ if getattr(share, name) != getattr(given, name)]
    if (share.price_cap_ticks is not None) != (version.rules.price_cap == "reference"):
        other.append("price_cap_ticks")
    return other
