"""What a page is made of: sections of paragraphs, definitions, tables and figures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ...plot.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text; `important` ones stand out."""

    text: str
    important: bool = False
    kind: str = "paragraph"


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: str = "heading"


@dataclass(frozen=True)
class Definitions:
    """Terms and what is said of each."""

    rows: Sequence[tuple[str, str]]
    kind: str = "definitions"


@dataclass(frozen=True)
class Code:
    """Text shown as it is, behind a title that opens it; `folded` hides it at first."""

    title: str
    text: str
    folded: bool = False
    kind: str = "code"


@dataclass(frozen=True)
class Table:
    """A table of text cells.

    Attributes
    ----------
    caption : what it shows, and which statistic
    columns : header of each column
    rows : cells as text
    units : unit of each column, or empty for no row of units
    numeric : positions of the columns that are set to the right
    notes : sentences below, numbered from 1
    marked : positions of rows that stand out
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    units: Sequence[str] = ()
    numeric: frozenset[int] = frozenset()
    notes: Sequence[str] = ()
    marked: frozenset[int] = frozenset()
    kind: str = "table"


@dataclass(frozen=True)
class Equations:
    """Equations below a title: left and right sides, the insides of MathML elements (already escaped)."""

    title: str
    rows: Sequence[tuple[str, str]]
    kind: str = "equations"


@dataclass(frozen=True)
class Picture:
    """A figure: its SVG as a data URI, what it shows for those who cannot see it, and a caption."""

    source: str
    alt: str
    caption: str
    kind: str = "picture"


@dataclass
class Section:
    """A section of the page."""

    id: str
    title: str
    blocks: list[Any] = field(default_factory=list)


class Notes:
    """Numbered notes of one table: each sentence once, in the order of its first use."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def mark(self, sentence: str) -> str:
        """Return the mark of a sentence, "[1]", on the line of what stands before it."""
        if sentence not in self.sentences:
            self.sentences.append(sentence)
        return f"\u00a0[{self.sentences.index(sentence) + 1}]"


def picture(
    draw: Callable[[Figure], Any],
    *,
    alt: str,
    caption: str,
    size: tuple[float, float] = (7.6, 4.3),
    layout: Literal["constrained", "none"] = "constrained",
    text: Literal["path", "none"] = "path",
) -> Picture:
    """Draw a figure that nothing else holds and return it as a picture.

    Parameters
    ----------
    draw : callable
        Takes the empty figure.
    alt, caption : str
        What it shows, for those who cannot see it and for those who can.
    size : (float, float)
        Width and height in inches.
    layout : {"constrained", "none"}
        Whether matplotlib places the axes, or `draw` does, which takes half the time.
    text : {"path", "none"}
        Letters drawn as they are everywhere, or in the reader's own sans-serif font, which is smaller.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout=None if layout == "none" else layout)
    canvas = FigureCanvasSVG(figure)
    with styled():
        draw(figure)
    stream = io.BytesIO()
    # The same data give the same bytes: no date, and ids that do not change.
    with mpl.rc_context({"svg.hashsalt": "ckinetics", "svg.fonttype": text}):
        canvas.print_figure(stream, format="svg", metadata={"Date": None, "Creator": None})
    encoded = base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(f"data:image/svg+xml;base64,{encoded}", alt, caption)
