"""Line and bar charts as SVG text: enough for the figures of docs/statistics.md, and no drawing library to install."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 62, 32, 78, 52
# Distinct for colour-blind readers (Okabe and Ito 2008); the first is ours.
OURS, ORANGE, GREEN, PURPLE, GREY, SKY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#7a7a7a", "#56b4e9"
INK, FAINT, GRID = "#1f2328", "#59636e", "#e4e8ec"


@dataclass(frozen=True, slots=True)
class Line:
    """`band`: low and high around y, shaded. `dashed` for what is no estimate: a truth, a limit."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dashed: bool = False
    band: tuple[Sequence[float], Sequence[float]] | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar in each group."""

    name: str
    y: Sequence[float]
    colour: str


@dataclass(frozen=True, slots=True)
class Axis:
    """`low` and `high` of the data; `log`: to the base of 10; `unit` after a tick's number."""

    title: str
    low: float
    high: float
    log: bool = False
    unit: str = ""

    def at(self, value: float) -> float:
        """Where the value lies, from 0 to 1; cut at the ends."""
        low, high, here = (log10(v) if self.log else v for v in (self.low, self.high, max(value, self.floor)))
        return min(max((here - low) / (high - low), 0.0), 1.0)

    @property
    def floor(self) -> float:
        return self.low if self.log else float("-inf")

    def ticks(self) -> list[float]:
        if self.log:
            return [10.0**k for k in range(ceil(log10(self.low)), floor(log10(self.high)) + 1)]
        step = nice((self.high - self.low) / 5)
        first = ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, floor(self.high / step + 1e-9) + 1)]


def nice(step: float) -> float:
    """The least of 1, 2, 5 · 10ᵏ that is not below.

    >>> nice(0.13), nice(30)
    (0.2, 50.0)
    """
    unit = 10.0 ** floor(log10(step))
    return next(part * unit for part in (1, 2, 5, 10) if part * unit >= step * 0.999)


def line_chart(title: str, lines: Sequence[Line], x: Axis, y: Axis) -> str:
    across, up = scale_x(x), scale_y(y)
    drawn = [shade(line, across, up) for line in lines if line.band is not None] + [
        curve(line, across, up) for line in lines
    ]
    return frame(title, [(line.name, line.colour, line.dashed) for line in lines], drawn, x_ticks(x), y)


def bar_chart(title: str, groups: Sequence[str], bars: Sequence[Bars], y: Axis, limit: tuple[str, float] | None) -> str:
    """`limit`: a name and a level that is drawn across."""
    up, slot = scale_y(y), (WIDTH - LEFT - RIGHT) / len(groups)
    wide = slot * 0.8 / len(bars)
    drawn = []
    for i, one in enumerate(bars):
        for group, value in enumerate(one.y):
            left, top = LEFT + group * slot + slot * 0.1 + i * wide, up(value)
            drawn.append(
                f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{wide - 2:.1f}" height="{HEIGHT - BOTTOM - top:.1f}" '
                f'rx="1.5" fill="{one.colour}"/>'
            )
            drawn.append(text(left + wide / 2, top - 4, short(value), size=10, anchor="middle", colour=FAINT))
    labels = [(LEFT + (group + 0.5) * slot, name) for group, name in enumerate(groups)]
    legend = [(one.name, one.colour, False) for one in bars]
    if limit is not None:
        legend.append((limit[0], INK, True))
        drawn.append(path([(LEFT, up(limit[1])), (WIDTH - RIGHT, up(limit[1]))], INK, dashed=True))
    return frame(
        title, legend, drawn, [text(at, HEIGHT - BOTTOM + 18, name, anchor="middle") for at, name in labels], y
    )


def frame(title: str, legend: list[tuple[str, str, bool]], drawn: list[str], below: list[str], y: Axis) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
    )
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#ffffff"/>'
    named = f"<title>{escape(title)}</title>"
    parts = [named, paper, text(16, 26, title, size=15, weight=600), *legend_of(legend), *grid(y), *drawn, *below]
    return "\n".join((head, *parts, "</svg>")) + "\n"


def legend_of(entries: list[tuple[str, str, bool]]) -> list[str]:
    found, left, top = [], 16.0, 48
    for name, colour, dashed in entries:
        width = 30 + 6.5 * len(name)
        if left + width > WIDTH - 8:
            left, top = 16.0, top + 17
        found.append(path([(left, top - 4), (left + 16, top - 4)], colour, dashed=dashed, width=3))
        found.append(text(left + 21, top, name))
        left += width + 8
    return found


def grid(y: Axis) -> list[str]:
    up, found = scale_y(y), []
    for value in y.ticks():
        found.append(f'<path d="M{LEFT} {up(value):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        found.append(text(LEFT - 8, up(value) + 4, short(value) + y.unit, anchor="end", colour=FAINT))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    found.append(text(16, middle, y.title, anchor="middle", turned=True, colour=FAINT))
    return found


def x_ticks(x: Axis) -> list[str]:
    across, base = scale_x(x), HEIGHT - BOTTOM
    found = [f'<path d="M{LEFT} {base}H{WIDTH - RIGHT}" stroke="{FAINT}"/>']
    found += [text(across(v), base + 17, short(v) + x.unit, anchor="middle", colour=FAINT) for v in x.ticks()]
    found.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x.title, anchor="middle", colour=FAINT))
    return found


def scale_x(x: Axis) -> Callable[[float], float]:
    return lambda value: LEFT + x.at(value) * (WIDTH - LEFT - RIGHT)


def scale_y(y: Axis) -> Callable[[float], float]:
    return lambda value: HEIGHT - BOTTOM - y.at(value) * (HEIGHT - BOTTOM - TOP)


def curve(line: Line, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    return path([(across(x), up(y)) for x, y in zip(line.x, line.y, strict=True)], line.colour, dashed=line.dashed)


def shade(line: Line, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    assert line.band is not None
    low, high = line.band
    there = [(across(x), up(y)) for x, y in zip(line.x, high, strict=True)]
    back = [(across(x), up(y)) for x, y in zip(line.x, low, strict=True)][::-1]
    return f'<path d="{points(there + back)}Z" fill="{line.colour}" fill-opacity="0.16"/>'


def path(at: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False, width: float = 2) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="{points(at)}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dash}/>'
    )


def points(at: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: int = 12,
    weight: int = 400,
    anchor: str = "start",
    colour: str = INK,
    turned: bool = False,
) -> str:
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{colour}"{turn}>{escape(words)}</text>'
    )


def short(value: float) -> str:
    """
    >>> short(0.05), short(0), short(100000), short(2.5), short(0.95)
    ('.05', '0', '100,000', '2.5', '.95')
    """
    if abs(value) >= 1000 or value == round(value):
        return f"{value:,.0f}"
    words = f"{value:.3f}".rstrip("0").rstrip(".")
    return words.replace("0.", ".", 1) if abs(value) < 1 else words
