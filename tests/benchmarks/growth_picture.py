"""Draws `growth.svg`: time against size, both logarithmic, in colours for light and for dark pages."""

from collections.abc import Sequence
from math import log10
from typing import Final, NamedTuple

WIDTH: Final = 760
HEIGHT: Final = 440
LEFT: Final = 70
RIGHT: Final = 560
TOP: Final = 50
BOTTOM: Final = 380
LABEL_GAP: Final = 17
MS_US: Final = 1_000

_STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .half { fill: none; stroke-width: 2.5 }
  .most { fill: none; stroke-width: 1.2; stroke-dasharray: 3 4 }
  .c0 { stroke: #0969da; color: #0969da } .c1 { stroke: #bc4c00; color: #bc4c00 }
  .c2 { stroke: #1a7f37; color: #1a7f37 } .c3 { stroke: #8250df; color: #8250df }
  .c4 { stroke: #bf3989; color: #bf3989 }
  circle { fill: currentColor; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .grid { stroke: #3d444d }
    .c0 { stroke: #58a6ff; color: #58a6ff } .c1 { stroke: #f0883e; color: #f0883e }
    .c2 { stroke: #56d364; color: #56d364 } .c3 { stroke: #bc8cff; color: #bc8cff }
    .c4 { stroke: #f778ba; color: #f778ba }
  }
"""


class Line(NamedTuple):
    """One subject: the median and the 99th percentile at each size, in microseconds."""

    title: str
    p50_us: list[float]
    p99_us: list[float]


def picture(sizes: Sequence[int], lines: Sequence[Line]) -> str:
    """Return the SVG; up to five lines."""
    values = [value for line in lines for value in (*line.p50_us, *line.p99_us)]
    lowest = int(log10(min(values)))
    highest = int(log10(max(values))) + 1

    def x_of(size: int) -> float:
        share = (log10(size) - log10(sizes[0])) / (log10(sizes[-1]) - log10(sizes[0]))
        return LEFT + share * (RIGHT - LEFT)

    def y_of(value_us: float) -> float:
        return BOTTOM - (log10(value_us) - lowest) / (highest - lowest) * (BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>Time of one command or reading against the number of resting orders</title>",
        f"<style>{_STYLE}</style>",
        f'<text x="{LEFT}" y="24">Time of one: median (solid) and 99th percentile (dotted)</text>',
        f'<text x="{(LEFT + RIGHT) / 2:.0f}" y="{BOTTOM + 46}" text-anchor="middle">resting orders</text>',
    ]
    for power in range(lowest, highest + 1):
        y = y_of(10**power)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_time(10**power)}</text>')
    for size in sizes:
        x = x_of(size)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 22}" text-anchor="middle">{size:,}</text>')
    places = _apart([y_of(line.p50_us[-1]) for line in lines])
    for number, line in enumerate(lines):
        for style, values_us in (("half", line.p50_us), ("most", line.p99_us)):
            points = " ".join(
                f"{x_of(size):.1f},{y_of(value):.1f}" for size, value in zip(sizes, values_us, strict=True)
            )
            parts.append(f'<polyline class="{style} c{number}" points="{points}"/>')
        parts.extend(
            f'<circle class="c{number}" cx="{x_of(size):.1f}" cy="{y_of(value):.1f}" r="3.5"/>'
            for size, value in zip(sizes, line.p50_us, strict=True)
        )
        place = places[number]
        parts.append(f'<path class="half c{number}" d="M{RIGHT + 12} {place:.1f}h18"/>')
        parts.append(f'<text x="{RIGHT + 36}" y="{place + 4:.1f}">{line.title}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _apart(wished: list[float]) -> list[float]:
    """Return places as wished, moved down where two would overlap."""
    places = [0.0] * len(wished)
    last = -float(LABEL_GAP)
    for number in sorted(range(len(wished)), key=wished.__getitem__):
        last = places[number] = max(wished[number], last + LABEL_GAP)
    return places


def _time(value_us: float) -> str:
    return f"{value_us:g} us" if value_us < MS_US else f"{value_us / MS_US:g} ms"
