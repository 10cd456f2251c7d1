"""Rendering sections as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .blocks import Section

_TEMPLATES = Path(__file__).with_name("templates")


def render_page(title: str, sections: Sequence[Section], *, made: str, version: str) -> str:
    """Return the page; everything that comes from data is escaped.

    Parameters
    ----------
    title : str
        Title of the page.
    sections : sequence of Section
        In order.
    made, version : str
        When it was made, and by which version.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(title=title, sections=sections, made=made, version=version)
