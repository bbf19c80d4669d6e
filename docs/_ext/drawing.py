"""A directive that draws a network: rows of boxes and the arrows between them.

::

   .. drawing::

      P(click) | P(order)
      tower click | tower order
      bottom

      bottom > tower click, tower order
      tower click > P(click)
      tower order > P(order)

Rows come from top to bottom, arrows after an empty line; ``~>`` is a dashed one, and a
dot leaves a place empty. Boxes of the task "click" are blue, those of "order" orange,
shared ones grey.
"""

from __future__ import annotations

from html import escape
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 104, 30, 30, 34, 6
COLORS = {"click": "#cfe2f3", "order": "#fbdcc0", "": "#e6e6e6"}

Place = tuple[float, float]


class Drawing(Directive):
    """Put the drawing into the page as SVG."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", svg("\n".join(self.content)), format="html")]


def in_words(rows: list[list[str]], arrows: str) -> str:
    """The drawing for those who do not see it."""
    boxes = "; ".join(", ".join(b for b in row if b != ".") for row in rows)
    lines = [line.strip() for line in arrows.splitlines() if line.strip()]
    to = "; ".join(line.replace("~>", "to").replace(">", "to") for line in lines)
    return f"Boxes from top to bottom: {boxes}. Arrows: {to}."


def svg(text: str) -> str:
    """The picture of a description."""
    boxes, _, arrows = text.strip().partition("\n\n")
    rows = [[b.strip() for b in row.split("|")] for row in boxes.splitlines()]
    widest = max(len(row) for row in rows)
    width = widest * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    height = len(rows) * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    places = layout(rows, width)
    parts = [arrow(places, line) for line in arrows.splitlines() if line.strip()]
    parts += [box(label, place) for label, place in places.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12" '
        'style="background:#fff;max-width:100%;margin:0.5em 0 1em" '
        f'role="img" aria-label="{escape(in_words(rows, arrows))}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#444"/></marker>'
        f"</defs>{''.join(parts)}</svg>"
    )


def layout(rows: list[list[str]], width: float) -> dict[str, Place]:
    """Middle of every box, each row centred."""
    places: dict[str, Place] = {}
    for i, row in enumerate(rows):
        start = width / 2 - (len(row) - 1) * (WIDTH + GAP_X) / 2
        y = MARGIN + HEIGHT / 2 + i * (HEIGHT + GAP_Y)
        for j, label in enumerate(row):
            if label == ".":
                continue
            if label in places:
                raise ValueError(f"two boxes are called {label!r}")
            places[label] = (start + j * (WIDTH + GAP_X), y)
    return places


def box(label: str, place: Place) -> str:
    x, y = place
    color = next(c for task, c in COLORS.items() if task in label)
    return (
        f'<rect x="{x - WIDTH / 2}" y="{y - HEIGHT / 2}" width="{WIDTH}" '
        f'height="{HEIGHT}" rx="5" fill="{color}" stroke="#444"/>'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle" fill="#111">{escape(label)}'
        "</text>"
    )


def arrow(places: dict[str, Place], line: str) -> str:
    """Lines from one box to others."""
    dashed = "~>" in line
    start, _, ends = line.partition("~>" if dashed else ">")
    style = ' stroke-dasharray="4 3"' if dashed else ""
    paths = []
    for end in ends.split(","):
        (x0, y0), (x1, y1) = places[start.strip()], places[end.strip()]
        if y0 == y1:  # side by side
            side = 1 if x1 > x0 else -1
            x0, x1 = x0 + side * WIDTH / 2, x1 - side * WIDTH / 2
        else:
            side = 1 if y1 > y0 else -1
            y0, y1 = y0 + side * HEIGHT / 2, y1 - side * HEIGHT / 2
        paths.append(
            f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#444" fill="none"{style} '
            'marker-end="url(#tip)"/>'
        )
    return "".join(paths)


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("drawing", Drawing)
    return {"version": "1", "parallel_read_safe": True}
