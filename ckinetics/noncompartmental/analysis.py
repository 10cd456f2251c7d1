"""The front end: profiles in, a Dataset of parameters out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from ..cohorts import profiles_of
from ..errors import InputError
from ..provenance import content_hash
from ..schema import Excluded
from ..threads import run_slices, thread_count
from .doses import add_dose_parameters, find_dose
from .inputs import has_errors, kernel_samples, leading_dims
from .ratios import add_ratios
from .reasons import Reason
from .results import build_result, empty_tables, name_too_large
from .rules import PERSISTENCES, Anchor, BlqRule, Limits, Preset, check_choice, kernel_rules, resolve
from .selection import Selection, read_selection
from .tobit import add_tobit
from .uncertainty import Uncertainty, add_uncertainty
from .windows import check_intervals, find_windows, infusion_table

Kinds = Literal["delta", "bootstrap", "both"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of an analysis, checked; `rules` are resolved from the preset."""

    rules: Preset
    spans: np.ndarray
    labels: list[str]
    limits: Limits
    times: str
    window: tuple[float, float] | None
    infusions: str
    persistence: str
    peak_fold: float
    peak_errors: float
    peaks_from: float
    contraction_days: float
    threshold: float
    disposition: bool
    tobit: bool
    uncertainty: Uncertainty | None
    group: str

    def record(self, selection: Selection | None) -> dict[str, Any]:
        """Return the settings as they are recorded in the result."""
        found = dataclasses.asdict(self)
        del found["labels"]
        found["intervals"] = found.pop("spans").tolist()
        found |= {"preset": self.rules.name, "auc_method": self.rules.auc_method}
        found["threshold"] = None if np.isnan(self.threshold) else self.threshold
        found["slopes"] = 0 if selection is None else int((selection.codes > 0).sum())
        return found


def nca(
    data: xr.DataTree | xr.Dataset,
    /,
    *,
    preset: str = "cell_therapy",
    auc_method: str | None = None,
    intervals: Sequence[tuple[float, float] | str] = ((0.0, 28.0),),
    blq: BlqRule | None = None,
    anchor: Anchor | None = None,
    baseline: Literal["last", "mean"] | None = None,
    tail: str | None = None,
    min_points: int | None = None,
    rising: Literal["veto", "discard"] | None = None,
    tmax: Literal["first", "last"] | None = None,
    tmax_in_line: bool | None = None,
    slopes: str | Path | pd.DataFrame | None = None,
    tobit: bool = False,
    persistence: Literal["last_quantified", "midpoint", "first_blq"] = "last_quantified",
    threshold: float | None = None,
    peak_fold: float = 2.0,
    peak_errors: float = 3.0,
    peaks_from: float = 3.0,
    contraction_days: float = 21.0,
    window: tuple[float, float] | None = None,
    infusions: Literal["first", "each"] = "first",
    dose: Any = None,
    disposition: bool = False,
    uncertainty: Kinds | None = None,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    limits: Limits | Mapping[str, float] | None = None,
    times: Literal["actual", "nominal"] = "actual",
    threads: int | None = 1,
    group: str = "kinetics",
) -> xr.Dataset:
    """Compute noncompartmental parameters of every profile.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort, or profiles on (patient, matrix, sample) or any other leading dims. Samples that are missing, invalid
        or excluded are left out; times before infusion enter no area. Arrays of dask are taken chunk by chunk.
    preset : {"cell_therapy", "pknca", "phoenix", "ich_m13a"}
        Set of rules, each of which the following options replace; see `Preset`. ``cell_therapy``: leading BLQ
        samples are 0, embedded ones are dropped, of trailing ones the first is 0 and the rest dropped; a missing
        day-0 sample is an anchor of 0; an interval's area is interpolated, runs linearly to a BLQ sample that follows
        the last quantified one, and uses the profile's lambda_z only past the last sample. ``pknca``: the defaults
        of PKNCA 0.12.1. ``phoenix``: the conventions of Phoenix WinNonlin and NonCompart. ``ich_m13a``: BLQ is 0.
    auc_method : {"linear", "linear-up/log-down", "linear-log", "log-up/log-down"}, optional
        Trapezoidal rule; default is the preset's. Ties and segments with a zero end are linear. ``linear-log`` is
        logarithmic after Tmax.
    intervals : sequence of (start, end) or str
        Intervals for ``auc_interval``, in days; the end may be infinite; also "0-6 months".
    blq : mapping, str or number, optional
        What BLQ samples become, by position ``first``, ``middle``, ``last`` (before, between and after the
        quantified ones) or ``before.tmax``, ``after.tmax``: "keep" (0), "drop", "keep first", "lloq", "lloq/2" or a
        level. One value goes for all positions. A level that was put in enters neither lambda_z nor tlast nor Cmax,
        but under ``pknca``, where it does.
    anchor : {"none", "zero", "baseline"}, optional
        What stands at time 0 where no sample lies there: nothing, a level of 0, or the baseline (0 where that is
        BLQ). Under ``cell_therapy`` it is used where the first sample lies at most 7 days after infusion; "zero" never
        after a positive sample before it. ``auc_pct_anchor`` is the share of ``auc_last`` that rests on it.
    baseline : {"last", "mean"}, optional
        Which samples before time 0 give ``baseline``.
    tail : {"last", "all", "own_obs", "own_pred", "samples", "predicted"}, optional
        How an interval's area goes on after the last quantified sample, see `Preset`.
    min_points : int, optional
        Samples that a terminal line needs, 2 or more.
    rising : {"veto", "discard"}, optional
        Whether windows that rise compete for the largest adjusted R², as in PKNCA (a well-fitting rise may then leave
        no line), or not, as in Phoenix.
    tmax : {"first", "last"}, optional
        Which of several equal maxima is Tmax.
    tmax_in_line : bool, optional
        Whether the sample at Tmax may enter the terminal line.
    slopes : path or DataFrame, optional
        Samples of the terminal line chosen by hand: columns patient, (matrix,) time, use (include or exclude),
        reason, by. A line through samples to include goes through no others, and still must decline.
    tobit : bool
        Also fit lines that know BLQ samples as below their LLOQ: ``lambda_z_tobit``, ``half_life_tobit`` over the
        tail, ``expansion_rate_tobit``, ``doubling_time_tobit`` over the rise.
    persistence : {"last_quantified", "midpoint", "first_blq"}
        Which single date stands for the end of persistence, which lies between ``persistence_lower`` and
        ``persistence_upper`` (infinite where the last sample is quantified).
    threshold : float, optional
        Level for ``threshold_time`` and ``threshold_duration``, in the unit of the levels.
    peak_fold, peak_errors : float
        A second peak needs a fall and a rise of so many fold, and of so many standard errors (``se_well`` and
        ``se_plate``, where there are any).
    peaks_from : float
        Day before which a maximum is infused cells that have not left the blood, not a first peak.
    contraction_days : float
        Days from the first peak over which ``contraction_half_life`` is taken.
    window : (start, end), optional
        Analyse only the samples in this range of days; times then count from its start.
    infusions : {"first", "each"}
        ``first``: one analysis from the first infusion on. ``each``: one for each infusion (dim ``infusion``), up to
        the next; times count from the infusion. A patient without any on record stays with the first: not calculable.
    dose : float or DataArray over patient, optional
        Dose for ``cmax_dn``, ``auc_last_dn``, ``auc_inf_obs_dn``, ``auc_interval_dn``; default the cohort's infusions,
        else its ``dose_received``.
    disposition : bool
        Also ``cmin``, ``cav``, ``kel_obs``, ``cl_obs``, ``vz_obs``, which a cell dose makes meaningless.
    uncertainty : {"delta", "bootstrap", "both"}, optional
        Standard errors and intervals of Cmax, lambda_z, half_life and areas from the assay's standard errors, see
        `add_uncertainty`.
    draws : int
        Resampled profiles of the bootstrap.
    level : float
        Level of the intervals.
    seed : int
        Seed of the bootstrap; a profile's draws depend on it and on the profile's labels alone.
    limits : Limits or mapping, optional
        Limits beyond which ``flags`` are raised: anchor_pct, extrap_pct, r_squared, span_ratio, n_points.
    times : {"actual", "nominal"}
        Which times are used.
    threads : int, optional
        Threads that share the profiles; None for one a processor. The result does not depend on it.
    group : str
        Which group of a cohort.

    Returns
    -------
    Dataset
        Over the leading dims: the parameters of `PARAMETERS` (units in ``units``), ``auc_interval`` over ``interval``
        with the shares observed, interpolated and extrapolated in %, ``reason_code`` over ``parameter`` and
        ``interval_reason_code`` (0 where a value was computed, see `reasons_table`), ``flags`` (bits, see
        `cautions_table`), the samples (``time``, ``level``, ``status``) with ``lambda_z_used``, and per profile
        ``n_samples``, ``n_quantified``, ``n_blq``, ``n_above_uloq``, ``first_time``, ``last_time``,
        ``first_peak_time``. Where blood and another matrix are there, ``matrix_ratio`` over ``matrix_pair``.

    Raises
    ------
    InputError
        Unknown options; a sample without time, or times that do not increase (named by patient and sample); a status
        that is none.

    Notes
    -----
    lambda_z is the ordinary least squares slope of ln level over the last k samples after Tmax. The largest adjusted R²
    is taken over all k, also where the slope is positive (``rising="veto"``); of the declining windows within 1e-4 of
    it the longest is chosen (the rule of PKNCA 0.12.1, whose published results are the tests).

    Examples
    --------
    >>> from ckinetics.cohorts import kinetics_from_arrays
    >>> profiles = kinetics_from_arrays([0, 7, 14, 28, 60], [[0, 1e4, 4e3, 9e2, 80]], lloq=50, unit="copies/ug")
    >>> result = nca(profiles)
    >>> round(float(result["half_life"].item()), 2)
    8.31
    """
    options = {
        "auc_method": auc_method,
        "blq": blq,
        "anchor": anchor,
        "baseline": baseline,
        "tail": tail,
        "min_points": min_points,
        "rising": rising,
        "tmax": tmax,
        "tmax_in_line": tmax_in_line,
    }
    spans, labels = check_intervals(intervals)
    settings = Settings(
        rules=resolve(preset, options),
        spans=spans,
        labels=labels,
        limits=_limits(limits),
        times=times,
        window=window,
        infusions=check_choice("infusions", infusions, ("first", "each")),
        persistence=check_choice("persistence", persistence, PERSISTENCES),
        peak_fold=_number("peak_fold", peak_fold, 1.0),
        peak_errors=_number("peak_errors", peak_errors, 0.0),
        peaks_from=_number("peaks_from", peaks_from, -np.inf),
        contraction_days=_number("contraction_days", contraction_days, 0.0),
        threshold=np.nan if threshold is None else _number("threshold", threshold, 0.0),
        disposition=disposition,
        tobit=tobit,
        uncertainty=None if uncertainty is None else Uncertainty(uncertainty, draws, level, seed),
        group=group,
    )
    if window is not None and infusions == "each":
        raise InputError("window and infusions='each' exclude each other: each infusion has its own window")
    profiles = profiles_of(data, group)
    given = data["infusions"].to_dataset() if isinstance(data, xr.DataTree) and "infusions" in data.children else None
    doses = _doses(data, dose, given, profiles, each=infusions == "each")
    if "patient" not in profiles.dims:
        profiles = profiles.compute()  # the chunks of dask are of patients
    analysis = partial(
        analyse, infusions=given, settings=settings, source=content_hash(data), threads=thread_count(threads)
    )
    if profiles["level"].chunks is None:
        return analysis(profiles, doses, slopes=slopes)
    from .chunked import nca_by_chunks

    for name, asked in (("slopes=", slopes is not None), ("infusions='each'", infusions == "each")):
        if asked:
            raise InputError(f"{name} needs profiles in memory: call .load() on the profiles first")
    return nca_by_chunks(profiles, doses, analysis)


def analyse(
    profiles: xr.Dataset,
    doses: xr.DataArray | None,
    *,
    infusions: xr.Dataset | None,
    settings: Settings,
    source: str,
    threads: int,
    slopes: str | Path | pd.DataFrame | None = None,
) -> xr.Dataset:
    """Analyse profiles in memory; `source` is the hash of the data they came from."""
    from ..kernels.nca import codes
    from ..kernels.nca import profiles as kernel

    lead = leading_dims(profiles)
    samples = kernel_samples(profiles, settings.times)
    selection = None
    if slopes is not None:
        selection = read_selection(slopes, profiles, samples)
        samples = samples._replace(selection=selection.codes)
    each = settings.infusions == "each"
    windows, infused = find_windows(profiles, infusions, lead, settings.window, each)
    spans = settings.spans
    tables = empty_tables(len(windows.rows), len(spans), samples.time.shape[1])
    peak_errors = settings.peak_errors if has_errors(samples) else 0.0
    seen = {"peak_errors": peak_errors, "by_hand": selection is not None}
    rules = kernel_rules(settings.rules, vars(settings) | seen, settings.limits)

    def work(first: int, last: int) -> None:
        kernel.analyse_all(
            samples, windows.rows, windows.starts, windows.ends, rules, spans, first, last, tables.out, tables.why,
            tables.areas, tables.area_why, tables.used, tables.facts, tables.flags,
        )  # fmt: skip

    run_slices(work, len(windows.rows), threads)
    name_too_large(tables)
    if windows.next_infusion is not None:
        inside = windows.next_infusion < tables.facts[codes.LAST_TIME]
        tables.flags[inside] |= codes.FLAG_OTHER_INFUSION
    if selection is not None:
        usable = (samples.state_of[samples.status + 1] != codes.UNUSABLE) & (samples.excluded != Excluded.excluded)
        times, chosen = samples.time[windows.rows], ((selection.codes > 0) & usable)[windows.rows]
        inside = (times >= windows.starts[:, np.newaxis]) & (times <= windows.ends[:, np.newaxis])
        tables.flags[(chosen & inside).any(axis=1)] |= codes.FLAG_MANUAL_LINE
    unit = str(profiles["level"].attrs.get("units", ""))
    result = build_result(
        profiles,
        tables,
        spans,
        settings.labels,
        settings.record(selection),
        source,
        infusions=infused if each else None,
        disposition=settings.disposition,
    )
    if selection is not None:
        dims = (*lead, "sample")
        shape = profiles["level"].transpose(*dims).shape
        result["lambda_z_choice_reason"] = (
            dims,
            selection.reasons.reshape(shape),
            {"long_name": "why a sample was chosen for, or left out of, the terminal line by hand"},
        )
    result = add_dose_parameters(result, doses, disposition=settings.disposition, unit=unit)
    if settings.tobit:
        result = add_tobit(result, samples, windows, rules, threads, unit)
    if settings.uncertainty is not None:
        result = add_uncertainty(result, samples, windows, rules, settings.uncertainty, threads)
    if each:
        _name_missing_infusions(result)
    return add_ratios(result)


def _name_missing_infusions(result: xr.Dataset) -> None:
    """Give all that belongs to an infusion that is not on record the reason that it is not."""
    time = result["infusion_time"]
    absent = time.copy(data=np.isnan(time.values))
    for name in [str(name) for name in result.data_vars if str(name).endswith("reason_code")]:
        codes = result[name]
        here = absent.broadcast_like(codes).transpose(*codes.dims).values
        result[name] = (codes.dims, np.where(here, np.int8(Reason.no_infusion), codes.values), codes.attrs)


def _doses(
    data: xr.DataTree | xr.Dataset, dose: Any, infusions: xr.Dataset | None, profiles: xr.Dataset, *, each: bool
) -> xr.DataArray | None:
    if "patient" not in profiles.dims:
        if dose is not None:
            raise InputError("the profiles have no dim 'patient' that a dose could belong to")
        return None
    known = isinstance(data, xr.DataTree) and "dose_received" in data.data_vars
    if "patient" not in profiles.coords or (dose is None and infusions is None and not known):
        return None
    patients = [str(name) for name in profiles["patient"].values.tolist()]
    table = infusion_table(profiles, infusions) if infusions is not None else None
    return find_dose(data, dose, table, patients, first=not each)


def _limits(limits: Limits | Mapping[str, float] | None) -> Limits:
    if limits is None:
        return Limits()
    if isinstance(limits, Limits):
        return limits
    known = [field.name for field in dataclasses.fields(Limits)]
    strangers = [name for name in limits if name not in known]
    if strangers:
        raise InputError(f"unknown limit '{strangers[0]}': it is one of {', '.join(known)}")
    return Limits(**{name: _number(name, value, 0.0) for name, value in limits.items()})  # type: ignore[arg-type]


def _number(name: str, value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not least <= float(value) < np.inf:
        raise InputError(f"{name} is {value!r}: give a number" + (f" of {least:g} or more" if least > -np.inf else ""))
    return float(value)
