"""What is told of the record's seal: how late it is, who can sign, and when that is a reason to act. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from exchange.kit.clock import format_rfc3339
from exchange.monitoring.models import SealingView, SealWarning, Told
from exchange.transparency.models import SealStanding

LATE_PERIODS: Final = 4
"""Records that have waited for so many checkpoint periods wait for more than their turn."""


def sealing_view(
    standing: SealStanding,
    told: Mapping[str, Told],
    *,
    waiting_s: float,
    period_s: float,
) -> SealingView:
    """Return how sealing stands, by what each process told that is alive."""
    signers = [name for name, each in sorted(told.items()) if each.report.can_sign]
    warnings: list[SealWarning] = []
    if not signers:
        warnings.append("nobody_can_sign")
    if waiting_s > LATE_PERIODS * period_s:
        warnings.append("late")
    at_us = standing.sealed_at_us
    return SealingView(
        size=standing.size,
        sealed_at=None if at_us is None else format_rfc3339(at_us),
        unsealed_records=standing.unsealed_records,
        unsealed_s=round(waiting_s, 3),
        period_s=period_s,
        signers=signers,
        warnings=warnings,
    )


def notes_of(view: SealingView | None) -> Sequence[str]:
    """Say in words what warns, for whoever asks whether the service is ready; nothing before a look."""
    if view is None:
        return ()
    words = {
        "nobody_can_sign": "the record is not sealed: no process holds the signing key",
        "late": f"the record is not sealed in time: records have waited for {view.unsealed_s:.0f} s",
    }
    return tuple(words[each] for each in view.warnings)
