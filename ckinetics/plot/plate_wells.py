"""The wells and curves of one plate and target, as the figures of a plate need them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..assay.curves.standard_curve import LN10, t_quantile
from ..errors import InputError
from ..schema import CqStatus, Verdict, YesNo

# Verdicts whose wells are all standards, or that say nothing of a well, mark no well.
_NO_WELL = frozenset({"curve_levels", "curve_range", "slope_sign", "sample_sheet"})


@dataclass(frozen=True)
class PlateWells:
    """One run and target.

    Attributes
    ----------
    run_id, target : which
    wells : variables of its wells, by name
    curves : its fits, each a dict of schema names; the one that levels are read from first
    verdicts : variables of its verdicts, by name
    """

    run_id: str
    target: str
    wells: dict[str, np.ndarray]
    curves: tuple[dict[str, Any], ...]
    verdicts: dict[str, np.ndarray]

    @property
    def curve(self) -> dict[str, Any] | None:
        """The fit that levels are read from, None where there is no falling line."""
        first = self.curves[0] if self.curves else {}
        return first if float(first.get("slope", math.nan)) < 0 else None

    @property
    def digital(self) -> bool:
        """Whether partitions were counted, in place of cycles."""
        return bool(np.isfinite(self.wells["n_partitions"]).any())

    @property
    def left_out(self) -> np.ndarray:
        """Whether each well was left out on the instrument, or is masked."""
        return (self.wells["omit"] == YesNo.yes) | (self.wells["masked"] == YesNo.yes)

    @property
    def standard(self) -> np.ndarray:
        """Whether each well is a standard with nominal copies."""
        return (self.wells["role"] == "standard") & (self.wells["nominal_copies"] > 0)

    @property
    def silent(self) -> np.ndarray:
        """Whether each well was seen to have no signal."""
        return np.asarray(self.wells["cq_status"] == CqStatus.undetermined)

    @property
    def noise_sd0(self) -> float:
        """SD of Cq at high copies that the weights rest on, NaN where no fit says it."""
        return next((sd for curve in self.curves if math.isfinite(sd := float(curve["noise_sd0"]))), math.nan)

    def flags(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return what is wrong with wells: the kind, in words, and which; a verdict that failed, or a well left out."""
        found: dict[tuple[str, str], list[str]] = {}

        def add(kind: str, words: str, names: list[str]) -> None:
            found.setdefault((kind, words), []).extend(names)

        wells = self.wells
        for at, name in enumerate(wells["well_name"].tolist()):
            if wells["omit"][at] == YesNo.yes:
                add("left out", "left out on the instrument", [name])
            elif wells["masked"][at] == YesNo.yes:
                add("masked", str(wells["mask_reason"][at]), [name])
            elif wells["mask_reason"][at]:
                add("restored", str(wells["mask_reason"][at]), [name])
            if wells["vendor_flags"][at]:
                add("vendor", f"the instrument's software says {wells['vendor_flags'][at]}", [name])
        verdicts = self.verdicts
        for at in np.flatnonzero(verdicts["outcome"] == Verdict.failed).tolist():
            names = str(verdicts["wells"][at]).split()
            if names and verdicts["rule"][at] not in _NO_WELL:
                override = str(verdicts["override"][at])
                words = str(verdicts["message"][at]) + (f" ({override})" if override else "")
                add(str(verdicts["rule"][at]).replace("_", " "), words, names)
        return [(kind, words, tuple(dict.fromkeys(names))) for (kind, words), names in found.items()]

    def by_sample(self) -> dict[str, np.ndarray]:
        """Return the positions of the wells in use of each sample and control that is no standard."""
        found: dict[str, list[int]] = {}
        used = ~self.left_out
        for at in np.flatnonzero(used & ~np.isin(self.wells["role"].astype(str), ("standard", ""))).tolist():
            found.setdefault(str(self.wells["sample"][at]), []).append(at)
        return {name: np.array(places) for name, places in found.items()}


def plate_wells(data: xr.DataTree, run_id: str, target: str | None) -> PlateWells:
    """Select a run and target.

    Raises
    ------
    InputError
        There are no wells and curves, no such run or target, or several targets and none is named.
    """
    if not isinstance(data, xr.DataTree) or not {"wells", "curves", "verdicts"} <= set(data.children):
        raise InputError("the data hold no plates: give the result of quantify, or a cohort built from it")
    wells, curves, verdicts = (
        {str(name): array.values for name, array in data.children[group].variables.items() if array.dims == (dim,)}
        for group, dim in (("wells", "well"), ("curves", "curve"), ("verdicts", "verdict"))
    )
    on_run = wells["run_id"] == run_id
    if not on_run.any():
        there = ", ".join(dict.fromkeys(map(str, wells["run_id"].tolist())))
        raise InputError(f"there is no run '{run_id}': there are {there or 'none'}")
    targets = list(dict.fromkeys(map(str, wells["target"][on_run].tolist())))
    if target is None and len(targets) > 1:
        raise InputError(f"run '{run_id}' has several targets ({', '.join(targets)}): name one with target=")
    if target is not None and target not in targets:
        raise InputError(f"run '{run_id}' has no target '{target}': it has {', '.join(targets)}")
    chosen = targets[0] if target is None else target
    mine = np.flatnonzero((curves["run_id"] == run_id) & (curves["target"] == chosen))
    rows = [{name: values[at] for name, values in curves.items()} for at in mine.tolist()]
    rows.sort(key=lambda row: row["used"] == YesNo.no)
    about = (verdicts["run_id"] == run_id) & np.isin(verdicts["target"].astype(str), ["", chosen])
    on_target = on_run & (wells["target"] == chosen)
    return PlateWells(
        run_id,
        chosen,
        {name: values[on_target] for name, values in wells.items()},
        tuple(rows),
        {name: values[about] for name, values in verdicts.items()},
    )


def fitted_cq(curve: dict[str, Any], copies: np.ndarray) -> np.ndarray:
    """Return the Cq that a fit expects of copies."""
    return np.asarray(float(curve["intercept"]) + float(curve["slope"]) * np.log10(copies))


def half_widths(curve: dict[str, Any], copies: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far an interval of the line, and one of a single well's Cq, reaches to either side.

    A well's own variance is the residual one, and that of the noise model for a weighted fit.
    """
    n = float(curve["n_wells"])
    if n < 3 or not math.isfinite(float(curve["residual_sd"])):
        return np.full(len(copies), np.nan), np.full(len(copies), np.nan)
    t, sd = t_quantile(0.5 + level / 2.0, int(n) - 2), float(curve["residual_sd"])
    distance = np.log10(copies) - float(curve["log10_mean"])
    line = sd**2 * (1.0 / n + distance**2 / float(curve["log10_ss"]))
    own = well_variance(curve, copies) if curve["method"] == "weighted" else sd**2
    return t * np.sqrt(line), t * np.sqrt(line + own)


def well_variance(curve: dict[str, Any], copies: np.ndarray, sd0: float | None = None) -> np.ndarray:
    """Return the variance of a well's Cq by the noise model: what the instrument adds, and Poisson."""
    added = float(curve["noise_sd0"]) if sd0 is None else sd0
    return np.asarray(added**2 + (float(curve["slope"]) / LN10) ** 2 / copies)
