"""Rendering sections as one HTML page that needs nothing else."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .blocks import Section

if TYPE_CHECKING:
    import jinja2

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
    return template("report.html.j2").render(title=title, sections=sections, made=made, version=version)


@functools.lru_cache(maxsize=8)
def template(name: str) -> jinja2.Template:
    """Return a template, compiled once; everything that it is given is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
