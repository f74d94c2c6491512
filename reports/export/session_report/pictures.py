"""A session's flow and timeline as SVG, with all colours in attributes: no style and no script."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from reports.analysis.flow import Graph
from reports.analysis.handoffs import INFERRED
from reports.analysis.trace import FOLD, Trace, row_name
from reports.output.formats import agent_colour, duration, spell_out, usd

WIDTH = 720
INK, MUTED, LINE, GROUND = "#1a1f25", "#535d68", "#9aa4ae", "#ffffff"
BAD = "#b3261e"
COLOURS = (
    "#3b6fb6 #b0632b #3f8f4f #8a5fb0 #b5485d #2f8a8f #8d7a1f #5d6ad0 #a04fa0 #5b7a3a"
).split()
# More than these make a picture that no page holds.
MAX_NODES, MAX_ROWS = 24, 40
_PER_LINE, _NODE_WIDTH, _NODE_HEIGHT, _LINE_HEIGHT = 4, 150, 44, 96
_ROW, _NAME_WIDTH, _AXIS = 15, 190, 24
_NAME = 26  # characters


def flow_svg(graph: Graph) -> str:
    """Draws agents from the top down: each below those that hand over to it."""
    shown = min(len(graph.nodes), MAX_NODES)
    places = _places(graph, shown)
    height = max((y for _, y in places), default=0) + _NODE_HEIGHT + 12
    edges = [e for e in graph.edges if e.source < shown and e.target < shown]
    parts = [_edge(places[e.source], places[e.target], e.count, e.why in INFERRED) for e in edges]
    for node, place in zip(graph.nodes, places, strict=False):
        what = f"{node.n_calls:,} calls, {usd(node.cost_usd)}"
        colour = COLOURS[agent_colour(node.name)]
        name = node.name if node.name is not None else "no agent name"
        parts.append(_node(place, name, what, colour, bool(node.n_errors)))
    return _svg(height, parts)


def _places(graph: Graph, shown: int) -> list[tuple[int, int]]:
    """Returns the upper left corner of each node that is shown."""
    depths = [0] * shown
    reached = {0}
    for _ in range(shown):  # each step brings nodes one level down, loops aside
        for edge in graph.edges:
            source, target = edge.source, edge.target
            if target < shown and source in reached and target not in reached:
                depths[target] = depths[source] + 1
                reached.add(target)
    places: list[tuple[int, int]] = [(0, 0)] * shown
    line = 0
    for depth in range(max(depths, default=0) + 1):
        level = [index for index in range(shown) if depths[index] == depth]
        for begin in range(0, len(level), _PER_LINE):
            some = level[begin : begin + _PER_LINE]
            gap = WIDTH / len(some)
            for position, index in enumerate(some):
                x = round(gap * (position + 0.5) - _NODE_WIDTH / 2)
                places[index] = (x, line * _LINE_HEIGHT + 12)
            line += 1
    return places


def _node(place: tuple[int, int], name: str, what: str, colour: str, is_bad: bool) -> str:
    x, y = place
    border = BAD if is_bad else colour
    return (
        f'<rect x="{x}" y="{y}" width="{_NODE_WIDTH}" height="{_NODE_HEIGHT}" rx="5"'
        f' fill="{GROUND}" stroke="{border}" stroke-width="1.5"/>'
        f'<rect x="{x}" y="{y}" width="6" height="{_NODE_HEIGHT}" fill="{colour}"/>'
        + _text(x + 14, y + 18, _short(name, 18), INK, 12)
        + _text(x + 14, y + 34, what, MUTED, 10)
    )


def _edge(source: tuple[int, int], target: tuple[int, int], count: int, is_dashed: bool) -> str:
    (x1, y1), (x2, y2) = source, target
    if y2 > y1:  # down
        begin = (x1 + _NODE_WIDTH // 2, y1 + _NODE_HEIGHT)
        end = (x2 + _NODE_WIDTH // 2, y2 - 5)
        middle = (begin[1] + end[1]) // 2
        path = f"M{begin[0]} {begin[1]}C{begin[0]} {middle} {end[0]} {middle} {end[0]} {end[1]}"
        label = ((begin[0] + end[0]) // 2 + 6, middle)
        tip = f"M{end[0] - 4} {end[1]}L{end[0]} {end[1] + 5}L{end[0] + 4} {end[1]}Z"
    else:  # back, or to the side: around the right
        right = max(x1, x2) + _NODE_WIDTH + 26
        begin = (x1 + _NODE_WIDTH, y1 + _NODE_HEIGHT // 2 + 8)
        end = (x2 + _NODE_WIDTH + 5, y2 + _NODE_HEIGHT // 2 - 8)
        path = f"M{begin[0]} {begin[1]}C{right} {begin[1]} {right} {end[1]} {end[0]} {end[1]}"
        label = (right - 8, (begin[1] + end[1]) // 2)
        tip = f"M{end[0]} {end[1] - 4}L{end[0] - 5} {end[1]}L{end[0]} {end[1] + 4}Z"
    dashes = ' stroke-dasharray="4 3"' if is_dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"{dashes}/>'
        f'<path d="{tip}" fill="{LINE}"/>' + _text(*label, f"{count:,}", MUTED, 10)
    )


def timeline_svg(trace: Trace) -> str:
    """Draws a bar for each call; calls of one name in a row share a line."""
    rows = _rows(trace)[:MAX_ROWS]
    begin = min(trace.times.begin, default=0.0)
    span = max(max(trace.times.end, default=0.0) - begin, 1.0)
    scale = (WIDTH - _NAME_WIDTH - 8) / span
    parts = list(_axis(span, len(rows)))
    for line, row in enumerate(rows):
        y = _AXIS + line * _ROW
        call = trace.calls[trace.rows.first[row]]
        name = row_name(call) or "no name"
        n = trace.rows.n_folded[row]
        label = f"{_short(name, _NAME)} × {n:,}" if n else _short(name, _NAME)
        indent = min(trace.rows.depth[row], 6) * 8
        parts.append(_text(4 + indent, y + 11, label, INK, 10))
        for index in _calls_of(trace, row):
            x = _NAME_WIDTH + (trace.times.begin[index] - begin) * scale
            width = max((trace.times.end[index] - trace.times.begin[index]) * scale, 1.5)
            is_bad = trace.calls[index].outcome != "completed"
            colour = BAD if is_bad else COLOURS[agent_colour(trace.calls[index].agent_name)]
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 5}"'
                f' fill="{colour}"/>'
            )
    return _svg(_AXIS + len(rows) * _ROW + 4, parts)


def n_rows_left_out(trace: Trace) -> int:
    return max(len(_rows(trace)) - MAX_ROWS, 0)


def _rows(trace: Trace) -> list[int]:
    """Returns the rows without those of a fold, whose calls are drawn on the fold's own line."""
    rows = trace.rows
    return [
        row
        for row in range(len(rows.call))
        if rows.parent[row] < 0 or rows.call[rows.parent[row]] != FOLD
    ]


def _calls_of(trace: Trace, row: int) -> list[int]:
    rows = trace.rows
    if rows.call[row] != FOLD:
        return [rows.call[row]]
    below = range(row + 1, row + 1 + rows.n_below[row])
    return [rows.call[one] for one in below if rows.parent[one] == row]


def _axis(span: float, n_rows: int) -> Iterator[str]:
    bottom = _AXIS + n_rows * _ROW
    for step in range(5):
        x = _NAME_WIDTH + (WIDTH - _NAME_WIDTH - 8) * step / 4
        anchor = "end" if step == 4 else "middle" if step else "start"
        yield f'<path d="M{x:.1f} 16V{bottom}" stroke="#dfe3e7" stroke-width="1"/>'
        yield _text(round(x), 11, duration(span * step / 4), MUTED, 9, anchor)


def _text(x: int, y: int, text: str, colour: str, size: int, anchor: str = "start") -> str:
    return (
        f'<text x="{x}" y="{y}" fill="{colour}" font-size="{size}" text-anchor="{anchor}"'
        f' font-family="Noto Sans, system-ui, sans-serif">{escape(text)}</text>'
    )


def _short(name: str, most: int) -> str:
    shown = spell_out(name[:200])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _svg(height: int, parts: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}">{"".join(parts)}</svg>'
    )
