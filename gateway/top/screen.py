"""Which blocks fit into so many lines and columns: most important first, cut by height.

Pure: what there is, and how large the terminal is, in; something that rich prints, out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.top import blocks
from gateway.top.blocks import Block, Cell
from gateway.top.now import Now, Point
from gateway.top.words import safe

WIDE: Final = 150
"""From so many columns on, blocks stand in pairs."""
GUTTER: Final = 4
_REST: Final = "… {} more"


@dataclass(frozen=True)
class Size:
    """Of the terminal, in characters; `height` None shows everything."""

    width: int
    height: int | None


def draw(now: Now, points: Sequence[Point], size: Size, trouble: str = "") -> RenderableType:
    """The screen.

    Args:
        now: the last document.
        points: the last minutes, in any order.
        size: what it may fill; one line is one row of the terminal.
        trouble: why this is not the present, in words; empty when it is.
    """
    bands = _bands(now, points, size.width)
    if trouble:
        bands.insert(0, [Block([[safe(trouble, "reverse")]])])
    shares = _share(bands, size.height)
    return Group(
        *(_band(band, lines, size.width) for band, lines in zip(bands, shares, strict=True))
    )


def _bands(now: Now, points: Sequence[Point], width: int) -> list[list[Block]]:
    """What is there, most important first; the blocks of a band stand side by side."""
    first = [
        blocks.summary(now),
        blocks.figures(now),
        blocks.trail(points, now, width),
    ]
    rest = [
        blocks.stages(now),
        blocks.classes(now),
        blocks.controller(now),
        blocks.clients(now),
        blocks.slowest(now),
        blocks.feeds(now),
        blocks.processes(now),
        blocks.changes(now),
        blocks.stalls(now),
    ]
    rest = [block for block in rest if block.rows]
    abreast = 2 if width >= WIDE else 1
    return [[block] for block in first] + [
        rest[start : start + abreast] for start in range(0, len(rest), abreast)
    ]


def _share(bands: Sequence[Sequence[Block]], height: int | None) -> list[int]:
    """Lines for each band: first what it needs to say anything, then what is left, in order."""
    whole = [
        max(block.lines(len(block.rows)) + bool(block.note) for block in band) for band in bands
    ]
    if height is None:
        return whole
    least = [
        max(block.lines(min(block.least, len(block.rows))) for block in band) for band in bands
    ]
    shares = [0] * len(bands)
    for wanted in (least, whole):
        for index, lines in enumerate(wanted):
            given = min(lines - shares[index], height)
            # A heading alone says nothing.
            if shares[index] or given >= max(block.lines(1) for block in bands[index]):
                shares[index] += given
                height -= given
    return shares


def _band(band: Sequence[Block], lines: int, width: int) -> RenderableType:
    if not lines:
        return Group()
    if len(band) == 1:
        return _table(band[0], lines, width)
    side = (width - GUTTER) // 2
    grid = Table.grid(padding=(0, GUTTER, 0, 0), pad_edge=False)
    for _ in band:
        grid.add_column(width=side, no_wrap=True)
    grid.add_row(*(_table(block, lines, side) for block in band))
    return grid


def _table(block: Block, lines: int, width: int) -> RenderableType:
    room = lines - bool(block.heads)
    rows = list(block.rows[:room])
    if len(rows) < len(block.rows) and len(rows) > block.least:
        hidden = len(block.rows) - len(rows) + 1
        rows[-1] = [Text(_REST.format(hidden), "dim")]
    table = Table(
        box=None,
        pad_edge=False,
        show_header=bool(block.heads),
        header_style="dim",
        padding=(0, 2, 0, 0),
    )
    for head in block.heads or ("<",):
        words = head.startswith("<")
        # Where it is too narrow, words are cut and figures stay whole.
        table.add_column(
            head.removeprefix("<"), justify="left" if words else "right", no_wrap=not words
        )
    for row in rows:
        table.add_row(*map(_one_line, row))
    if block.note and lines > block.lines(len(block.rows)):
        return Group(table, _one_line(Text(block.note, "dim")))
    return table


def _one_line(cell: Cell) -> Text:
    text = Text(cell) if isinstance(cell, str) else cell
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
