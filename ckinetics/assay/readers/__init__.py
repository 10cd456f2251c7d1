"""Readers of plate exports: one file a vendor family; a new one is a file and an entry in `FAMILIES`.

A family's file holds a table of column names, a table of task words, and a ``read`` function that
calls `table.read_wells` and adds what only this family has. RDML is an archive and no table: its reader
gets each archive that is no workbook.
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import FileFormatError
from ..sources import Source
from . import absolute_q, cfx, design_and_analysis, lightcycler480, qiacuity, quantasoft, rdml, tidy
from . import ignored_files as by_products
from .column_map import family_of
from .table import Family, Header, Options, Reading, find_header, header_lines

# Tried in this order; the first whose required columns are all in one row reads the file.
FAMILIES: tuple[Family, ...] = (
    design_and_analysis.FAMILY,
    cfx.FAMILY,
    lightcycler480.FAMILY,
    quantasoft.FAMILY,
    qiacuity.FAMILY,
    absolute_q.FAMILY,
    absolute_q.SUMMARY,
    absolute_q.CHANNELS,
    tidy.FAMILY,
    tidy.DIGITAL,
    cfx.TABLES,
)

__all__ = ["FAMILIES", "Family", "Options", "Reading", "read_source"]


def read_source(source: Source, options: Options) -> tuple[Family, Reading]:
    """Recognise a file by its content and read it.

    Parameters
    ----------
    source : Source
        The opened file.
    options : Options
        What the caller decided; with ``options.columns`` the column map is tried first.

    Returns
    -------
    tuple of Family and Reading

    Raises
    ------
    FileFormatError
        No family fits; the message names those tried and the nearest header.
    """
    if source.archive is not None:
        no_header = Header("", 0, 0, (), {}, ())
        return rdml.FAMILY, rdml.read(rdml.FAMILY, source, no_header, options)
    families = ((family_of(options.columns),) if options.columns else ()) + FAMILIES
    nearest: tuple[tuple[int, int], Family, Header] | None = None
    for family in families:
        header = find_header(source, family)
        if header is None:
            continue
        if not header.missing:
            reading = family.read(family, source, header, options)
            around = {} if family.digital else header_lines(source, header)  # above those is at most a row of dyes
            return family, replace(reading, metadata=around | reading.metadata)
        fit = (-len(header.missing), len(header.columns))
        if nearest is None or fit > nearest[0]:
            nearest = (fit, family, header)
    known = next((text for family in families if (text := family.explain(source))), "")
    if known := known or by_products.explain(source, () if nearest is None else nearest[2].names):
        raise FileFormatError(known, file=source.path)
    tried = ", ".join(dict.fromkeys(family.title for family in (*families, rdml.FAMILY)))
    if nearest is None:
        raise FileFormatError(
            f"the layout is unknown (tried: {tried}): no row names the columns of wells; "
            "say which they are with columns={...} (or in a settings file)",
            file=source.path,
        )
    _, family, header = nearest
    lacking = ", ".join(f"'{family.columns[name][0]}'" for name in header.missing)
    names = " ".join(", ".join(name for name in header.names if name).split())
    raise FileFormatError(
        f"no known layout fits (tried: {tried}); the nearest header ({names[:200]}) lacks {lacking} of "
        f"{family.title}: export it too, or say which column it is with columns={{...}}",
        file=source.path,
        sheet=header.sheet,
        row=header.number,
    )
