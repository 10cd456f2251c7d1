"""The map of a plate: what is in each well, and which wells are flagged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from .plate_wells import plate_wells
from .style import LIMIT_COLOUR, PALETTE, axes_or_new, plain, say, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FORMATS = ((4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
_ROLES = {
    "standard": PALETTE[0],
    "unknown": PALETTE[4],
    "qc": PALETTE[2],
    "ntc": "#8C8C8C",
}
_OTHER, _FLAG = PALETTE[3], PALETTE[1]


def plate_map(data: xr.DataTree, run_id: str, /, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the wells of a plate as they lie: role, signal or none, left out, flagged.

    Parameters
    ----------
    data : DataTree
        From `quantify`, or a cohort with its groups ``wells``, ``curves`` and ``verdicts``.
    run_id : str
        The plate run.
    target : str, optional
        The assay; may be left out where the run has one.
    ax : Axes, optional
        Where to draw; default is a new figure.

    Returns
    -------
    Axes
        The plate is the smallest usual one that holds all positions. Wells without a signal are hollow, those left
        out or masked crossed; a ring marks wells behind a failed verdict.

    Raises
    ------
    InputError
        There are no wells and curves, no such run or target, or several targets and none is named.
    """
    from matplotlib.lines import Line2D

    plate = plate_wells(data, run_id, target)
    names = [str(name) for name in plate.wells["well_name"].tolist()]
    with styled():
        ax = axes_or_new(ax, width=5.0, height=3.6)
        places = np.array([place_of(name) for name in names], dtype=np.float64).reshape(-1, 2)
        shape = next((form for form in _FORMATS if (places < form).all()), None)
        title = plain(f"Plate: {plate.target}" if plate.target else "Plate")
        ax.set_title(title, loc="left", y=1.06)
        if shape is None:
            say(ax, "The wells do not lie on a usual plate.")
            ax.set_axis_off()
            return ax
        size = {4: 16.0, 6: 13.0, 8: 11.0, 16: 5.5, 32: 2.8}[shape[0]]
        roles = plate.wells["role"].astype(str)
        hollow = plate.silent | (plate.wells["n_positive"] == 0)
        flagged = {name for kind, _, wells in plate.flags() for name in wells if kind not in ("vendor", "restored")}
        handles = []
        for role in sorted(set(roles), key=[*_ROLES, *sorted(set(roles))].index):
            colour = _ROLES.get(role, _OTHER)
            for mask, face in ((~hollow, colour), (hollow, "white")):
                mine = (roles == role) & mask
                if mine.any():
                    y, x = places[mine].T
                    ax.plot(x, y, "o", ms=size, mfc=face, mec=colour, mew=1.0, ls="none")
            handles.append(Line2D([], [], marker="o", ls="none", color=colour, label=role or "no role", ms=5))
        if hollow.any():
            words = "no positives" if plate.digital else "no Cq"
            handles.append(Line2D([], [], marker="o", ls="none", mfc="white", mec=LIMIT_COLOUR, label=words, ms=5))
        for mask, marker, colour, factor, words in (
            (plate.left_out, "x", "black", 0.6, "left out"),
            (np.array([name in flagged for name in names], dtype=bool) & ~plate.left_out, "o", _FLAG, 1.22, "flagged"),
        ):
            if mask.any():
                y, x = places[mask].T
                ax.plot(x, y, marker, ms=size * factor, mfc="none", mec=colour, mew=1.6, ls="none", gid=words)
                handles.append(Line2D([], [], marker=marker, ls="none", mfc="none", mec=colour, label=words, ms=6))
        ax.set_xlim(-0.6, shape[1] - 0.4)
        ax.set_ylim(shape[0] - 0.4, -0.6)
        ax.set_aspect("equal")
        ax.set_axis_off()
        step = 1 if shape[0] <= 8 else 2
        for at in range(0, shape[1], step):
            ax.text(at, -0.75, str(at + 1), ha="center", va="bottom", fontsize=7)
        for at in range(0, shape[0], step):
            ax.text(-0.8, at, _letters(at), ha="right", va="center", fontsize=7)
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=4, fontsize=7)
    return ax


def place_of(name: str) -> tuple[float, float]:
    """Return row and column of a position, counted from 0; far off any plate where it is none.

    Examples
    --------
    >>> place_of("A1"), place_of("H12"), place_of("AF48")
    ((0.0, 0.0), (7.0, 11.0), (31.0, 47.0))
    """
    found = re.fullmatch(r"([A-Z]{1,2})(\d+)", name)
    if found is None:
        return 1e9, 1e9
    row = 0
    for letter in found[1]:
        row = 26 * row + ord(letter) - 64
    return float(row - 1), float(int(found[2]) - 1)


def _letters(row: int) -> str:
    return chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)
