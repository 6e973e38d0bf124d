"""SVG that reads in light and in dark: bars and lines, drawn by hand, with text that can be selected."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape

from benchmarks.results import Bars, Lines, Samples, number

_STYLE = """
svg{font:13px system-ui,sans-serif;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--ours:#0a66c2;--theirs:#9aa4af}
@media(prefers-color-scheme:dark){svg{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--ours:#58a6ff;--theirs:#6e7681}}
text{fill:var(--ink)}.soft{fill:var(--soft)}.head{font-weight:600}.grid{stroke:var(--line)}
.ours{fill:var(--ours)}.theirs{fill:var(--theirs)}.spread{stroke:var(--ink);stroke-width:1.5}
.path{fill:none;stroke-width:2}.path.ours{fill:none;stroke:var(--ours)}.path.theirs{fill:none;stroke:var(--theirs)}
"""
_WIDTH = 900
_LABELS = 300
_VALUES = 90
_ROW = 22
_SPAN = _WIDTH - _LABELS - _VALUES


def draw(plot: Bars | Lines, title: str) -> str:
    return _bars(plot, title) if isinstance(plot, Bars) else _lines(plot, title)


def _svg(height: float, title: str, parts: Iterable[str]) -> str:
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n{inner}\n</svg>\n"
    )


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def _sides(names: Iterable[str]) -> dict[str, str]:
    """Ours stand out. Where nothing but ours is compared, everything does."""
    all_ = list(names)
    ours = {name for name in all_ if name.startswith("realtime")} or set(all_)
    return {name: "ours" if name in ours else "theirs" for name in all_}


# Bars


def _bars(plot: Bars, title: str) -> str:
    shown = [value for group in plot.groups.values() for value in group.values() if value.median > 0]
    scale, decades = _length(shown)
    sides = _sides(label for group in plot.groups.values() for label in group)
    parts: list[str] = []
    y = 30.0
    for name, group in plot.groups.items():
        if name:
            parts.append(_text(0, y + 15, name, kind="head"))
            y += _ROW
        for label, value in group.items():
            parts += _bar(label, value, y, scale, sides[label])
            y += _ROW
        y += 8
    axis = [_text(0, 16, plot.unit + (", logarithmic" if decades else ""), kind="soft")]
    for decade in decades:
        x = _LABELS + scale(decade)
        axis += [f'<path d="M{x:.1f} 24V{y - 8:g}" class="grid"/>', _text(x, y + 8, f"{decade:,g}", "middle", "soft")]
    return _svg(y + (16 if decades else 0), title, [*axis, *parts])


def _length(shown: list[Samples]) -> tuple[Callable[[float], float], list[float]]:
    """Return how long a bar is; and the powers of ten, where that is by the logarithm, as values differ more than tenfold."""
    highest = max((value.high for value in shown), default=1.0)
    lowest = min((value.low for value in shown if value.low > 0), default=1.0)
    if highest / lowest < 10:
        return (lambda value: _SPAN * value / highest), []
    least = math.floor(math.log10(lowest))
    width = math.log10(highest) - least
    decades = [10.0**power for power in range(least, math.floor(math.log10(highest)) + 1)]
    return (lambda value: _SPAN * (math.log10(max(value, decades[0])) - least) / width), decades


def _bar(label: str, value: Samples, y: float, scale: Callable[[float], float], side: str) -> list[str]:
    end, low, high = (_LABELS + scale(at) for at in (value.median, value.low, value.high))
    parts = [
        _text(_LABELS - 8, y + 15, label, "end"),
        f'<rect x="{_LABELS}" y="{y + 3:g}" width="{max(1.0, end - _LABELS):.1f}" height="{_ROW - 6}" rx="2" '
        f'class="{side}"/>',
    ]
    if high - low > 1:
        middle = y + _ROW / 2
        parts.append(f'<path d="M{low:.1f} {middle:g}H{high:.1f}" class="spread"/>')
    return [*parts, _text(max(end, high) + 6, y + 15, number(value.median), kind="soft")]


# Lines


def _lines(plot: Lines, title: str) -> str:
    left, right, top, bottom = 60.0, 640.0, 30.0, 330.0
    lines = {name: [(x, value.median) for x, value in line if value.median > 0] for name, line in plot.lines.items()}
    lines = {name: line for name, line in lines.items() if line}
    xs = sorted({x for line in lines.values() for x, _ in line}) or [1.0]
    powers = _powers([y for line in lines.values() for _, y in line])
    across = _decades(xs[0], xs[-1], left, right)
    up = _decades(10.0 ** powers[0], 10.0 ** powers[-1], bottom, top)
    parts = [_text(0, 16, f"{plot.unit}, logarithmic", kind="soft"), _text(right, bottom + 38, plot.x, "end", "soft")]
    for power in powers:
        y = up(10.0**power)
        parts += [
            f'<path d="M{left:g} {y:.1f}H{right:g}" class="grid"/>',
            _text(left - 8, y + 4, f"{10.0**power:g}", "end", "soft"),
        ]
    parts += [_text(across(x), bottom + 18, f"{x:,.0f}", "middle", "soft") for x in xs]
    sides = _sides(lines)
    for name, line in lines.items():
        at = [(across(x), up(y)) for x, y in line]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        parts.append(f'<path d="{path}" class="path {sides[name]}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="{sides[name]}"/>' for x, y in at]
    parts += _names({name: up(line[-1][1]) for name, line in lines.items()}, right + 12)
    return _svg(bottom + 50, title, parts)


def _powers(values: list[float]) -> list[int]:
    """Return the powers of ten that the values lie between."""
    low, high = math.floor(math.log10(min(values, default=1))), math.ceil(math.log10(max(values, default=1)))
    return list(range(low, max(high, low + 1) + 1))


def _decades(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    width = math.log10(high / low) or 1.0
    return lambda value: start + (end - start) * math.log10(value / low) / width


def _names(heights: dict[str, float], x: float) -> list[str]:
    """Write each name at the height of its line's end, or as near as the one above lets it."""
    parts: list[str] = []
    free = 0.0
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        y = max(height + 4, free)
        parts.append(_text(x, y, name))
        free = y + 17
    return parts
