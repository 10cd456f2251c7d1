"""Individual fits: one model to each patient by maximum likelihood, censored samples included."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..arguments import number, whole_number
from ..cohorts import profiles_of
from ..errors import InputError
from ..kernels.fit.objective import NOISE, WEIGHT, Data
from ..kernels.fit.optimise import NONE
from ..modeling import Model, load_model
from ..modeling.events import Events
from ..provenance import content_hash, result_attrs
from ..simulation.inputs import read_inputs
from ..suggestions import suggestion
from ..units import kind_of
from .codes import Convergence
from .fitted import Fitted
from .log_scale_start import with_first_fit
from .problem import Fits, Problem, time_factor
from .residuals import error_models, without_scatter
from .results import result_tree
from .samples import ASSAY_ERRORS, CENSORING, Samples, gather_samples, only, pack
from .starts import estimation_scale, starting_points
from .uncertainty import INTERVALS, covariances

if TYPE_CHECKING:
    import pandas as pd

# A step that promises to lower −log-likelihood by less than this is not worth taking: converged.
CONVERGED_BELOW = {True: 1e-6, False: 1e-5}
METHODS = ("auto", "closed_form", "rodas5p", "tsit5")
PRIORS = {"none": "none", "file": "normal, the random effects of the model file about its values"}
# Of a parameter's doubling: an information so small is none.
NO_INFORMATION = 1e-12
# On the estimation scale, how near a bound counts as at it.
_AT_BOUND = 1e-7


def fit(
    data: xr.DataTree | xr.Dataset,
    model: str | Path | Model,
    /,
    *,
    group: str = "kinetics",
    matrix: str | None = None,
    outputs: Mapping[str, str] | None = None,
    inputs: Mapping[str, Any] | pd.DataFrame | None = None,
    residual: str | Mapping[str, str] | None = None,
    censoring: str = "M3",
    assay_error: str = "none",
    prior: str = "none",
    starts: int = 8,
    seed: int = 0,
    initial: Mapping[str, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    method: str = "auto",
    confidence: float = 0.95,
    interval: str = "auto",
    bootstrap: int = 0,
    threads: int = 1,
) -> xr.DataTree:
    """Fit a model to each patient's profile by maximum likelihood.

    A sample below its LLOQ contributes the probability of lying in [0, LLOQ) ("M3"), one above its ULOQ that of
    lying above it. Where a sample's limit of detection is known, "not detected" and "detected below LLOQ" contribute
    the probability of no copy, or of one or more, in its wells (the hit model). Before infusion the model says nothing,
    and such samples are not used. Nothing is dropped silently: samples that are not used are counted, with the reason,
    in ``message``.

    Parameters
    ----------
    data : DataTree or Dataset
        A cohort (its `group`), or profiles.
    model : str, Path or Model
        A model's name, a file's path, or what `load_model` returned.
    group : str
        Group of the cohort to fit.
    matrix : str, optional
        Which matrix; default the only one, or "blood" where there are several.
    outputs : mapping of str to str, optional
        Several outputs at once: for each output of the model where its profiles are, as "GROUP" or "GROUP/LABEL" of a
        cohort (such as ``{"cells": "flow/blood", "il6": "cytokines/IL-6"}``), or a label of the Dataset. Default: the
        output that has a residual error (else the first), from `group` and `matrix`.
    inputs : mapping or DataFrame, optional
        Doses, covariates and constants of the patients, as in `ckinetics.simulate`, in the patients' order. What is
        left out is the model file's, the same for every patient, as the settings of the result say.
    residual : str or mapping of output to str, optional
        Residual error; default that of the model file, else "additive on log" (the field's usual: ln(level) is normal);
        "additive", "proportional", "combined1" (SD a + b·f) or "combined2" (SD sqrt(a² + (b·f)²)), f the prediction.
    censoring : {"M3", "M3 without detection", "M1", "M5", "M6"}
        What a sample below LLOQ is. "M3": see above. "M3 without detection": [0, LLOQ) whatever was detected. For
        comparison only, since they are biased: "M1" leaves such samples out, "M5" takes LLOQ/2, "M6" takes LLOQ/2 for
        the first of successive ones and leaves the others out. (Names of Beal 2001, doi 10.1023/A:1012299115260.)
    assay_error : {"none", "counting"}
        "counting": copies in the wells are counted, so each sample has a variance of its own beside the residual one:
        that of the copies expected at the *predicted* level, also below LLOQ (of ln(level): ln(1 + 1/copies)). Where
        the hit model takes a sample, it counts the copies itself. Needs `lod` of the samples.
    prior : {"none", "file"}
        "file": the random effects of the model file are a normal prior (maximum a posteriori); estimates of patients
        with few samples are drawn to the file's values. It says nothing of a parameter that takes the data's unit,
        where that is of another kind than the file's.
    starts : int
        Starting points of each patient: two guesses from the data, the others a seeded design about them. With a
        residual error on the level one more, unless `initial` is given: the curve that fits best on the ln scale.
    seed : int
        Seed of the design. A patient's answer depends on it and on that patient's name and data only.
    initial : mapping of str to float, optional
        Values to start from, in place of the guesses from the data.
    fixed : mapping of str to float, optional
        Parameters held at a value, such as ``{"beta": 0.0032}`` or ``{"a": 0.56}``.
    method : {"auto", "closed_form", "rodas5p", "tsit5"}
        How curves are computed: by the closed form where the file has one ("auto"), or from the equations.
    confidence : float
        Level of the intervals.
    interval : {"auto", "profile", "t", "normal"}
        "profile": where the profile likelihood has risen by what a quantile of t with n-p degrees of freedom allows,
        also at kinks and bounds (group ``/profiles`` shows it); n quantified samples, p parameters of the curve. "t":
        from standard errors, with the same quantile and the standard error times sqrt(n/(n-p)). "normal": neither,
        which covers too little with few samples. "auto": "profile" for closed forms, "t" for equations, whose profiles
        take as long as a hundred fits.
    bootstrap : int
        Number of parametric bootstrap replicates of each patient (0: none), refitted from its estimates; adds
        percentile intervals ``boot_lower``, ``boot_upper`` and ``boot_se``. A drawn level below the sample's LLOQ is
        censored there, whatever would have been detected; refused with M1, M5 and M6.
    threads : int
        Threads over patients; the answer does not depend on it.

    Returns
    -------
    DataTree
        Root, over ``patient``: minus2ll, n_samples, n_quantified, n_censored, n_unused, starts_agreeing,
        convergence (a flag; its codes are `ckinetics.fitting.Convergence`), message. minus2ll is on the scale of
        ln(level) where the residual error is: a density of the level itself would add 2·Σ ln(level).

        ``/estimates`` (patient, parameter): estimate, se, se_log (standard error on the estimation scale),
        lower, upper, estimable (a parameter on a kink is, though it has no standard error); ``/identifiability``:
        correlation (patient, parameter, parameter_2), eigenvalue (patient, direction) of the information with unit
        diagonal, and eigenvector; ``/predictions`` (patient, sample): time, level, status, limits, predicted, residual,
        used; ``/curves`` (patient, point): time, predicted; ``/derived`` (patient, quantity): value, se, lower, upper,
        estimable (not, where a parameter that the data do not determine moves it by more than 2 % when it moves
        tenfold). With several outputs, predictions and curves have a dim ``output``.

        A patient that cannot be fitted is NaN with a code and a sentence.

    Raises
    ------
    InputError
        Wrong options, an unknown parameter in `fixed`, a model that cannot be fitted.
    UnitError
        Levels of another kind of quantity than the model's output, where the model file does not say (with
        ``scales_with``) that the output takes any unit.

    Notes
    -----
    Levenberg-Marquardt with analytic gradient, expected information for quantified and Gauss-Newton information
    for censored samples, inside bounds; last digits by Newton's method. Where a phase ends at a parameter (Tmax) the
    likelihood has a kink at each sample: the spans between samples about the minimum are searched one by one, and a
    minimum on a kink is found exactly and reported (no standard error for that parameter; the others hold it there).
    Standard errors are from the observed information. The residual SD is the maximum-likelihood value, which is too
    small with few samples by about sqrt((n-p)/n); its interval covers less than it says.

    Of 1000 patients of ``stein2019`` at its values (no random effects, SD 0.45, 17 samples to day 360), 95 % intervals
    of "profile" covered the truth of each of foldx, Tmax, Cmax and alpha in 93 to 97 %, without BLQ and with an LLOQ of
    50 (a test holds this); those of "t" leave Tmax out where it stands on a sample, in 1 of 10 patients.

    Examples
    --------
    >>> from ckinetics.simulation import simulate
    >>> data = simulate("stein2019", times=[1, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180, 270, 365], seed=1)
    >>> result = fit(data, "stein2019")
    >>> int(result["convergence"][0]) <= 1
    True
    """
    loaded = load_model(model)
    _check_options(starts, seed, confidence, interval, bootstrap, threads, censoring, assay_error, prior, method)
    places = _observed(loaded, data, group, matrix, outputs)
    errors = error_models(loaded, list(places), residual)
    scale = estimation_scale(loaded, errors, {})
    held = _parameter_values("fixed", fixed, loaded, scale.names, scale.low, scale.high)
    begin = _parameter_values("initial", initial, loaded, scale.names, scale.low, scale.high)
    if len(held) == len(scale.names):
        raise InputError("fixed holds every parameter: leave at least one to estimate")
    scale = estimation_scale(loaded, errors, held)
    dynamic = bool(loaded.specification.states)

    def gather(on_log: bool | None = None) -> list[Samples]:
        return [
            gather_samples(
                profiles,
                matrix=label,
                unit=loaded.specification.outputs[error.output].unit,
                any_unit=bool(loaded.specification.outputs[error.output].scales_with),
                on_log=error.on_log if on_log is None else on_log,
                dynamic=dynamic,
                censoring=censoring,
            )
            for (profiles, label), error in zip(places.values(), errors, strict=True)
        ]

    series = gather()
    patients = _same_patients(series, list(places))
    factor = time_factor(loaded)
    given = read_inputs(loaded, inputs, patients, factor)
    theta, _ = loaded.natural_parameters(None, given.given)
    constants = np.broadcast_to(theta[..., scale.n_curve :], (len(patients), len(loaded.constants)))
    closed = all(loaded.uses_closed_form(name, given.given, method) for name in places)
    moving = {name: value for name, value in given.given.items() if name not in given.constants}
    events = None if closed else Events.of_inputs(loaded, len(patients), moving)
    used_method = "closed_form" if closed else (loaded.method if method == "auto" else method)
    foreign = any(
        kind_of(s.unit) != kind_of(loaded.specification.outputs[name].unit)
        for s, name in zip(series, places, strict=True)
    )
    problem = Problem(loaded, list(places), errors, scale, used_method, prior == "file", foreign)
    if interval == "auto":
        interval = "profile" if problem.exact else "t"

    counts = np.sum([s.counts for s in series], axis=0)
    codes = np.full(len(patients), int(Convergence.converged), np.int8)
    told = problem.compiled_scale()[WEIGHT] > 0  # by the prior
    least = int((scale.free & ~told).sum()) + 1
    codes[counts < least] = Convergence.too_few_samples
    codes[np.sum([s.count("quantified") for s in series], axis=0) == 0] = Convergence.no_quantified_sample
    to_fit = codes == Convergence.converged
    packed = pack(
        series,
        on_log=[error.on_log for error in errors],
        factor=factor,
        constants=np.ascontiguousarray(constants),
        which=to_fit,
        assay_error=assay_error,
    )
    if assay_error == "counting" and to_fit.any() and not (packed.values[:, NOISE] > 0).any():
        raise InputError(
            "assay_error is 'counting', but no sample that is used has a limit of detection, which says how many "
            "copies a level is: give lod, or assay_error='none'"
        )
    points = starting_points(loaded, series[0], scale, starts=starts, seed=seed, initial=begin, factor=factor)
    if not begin:
        points = with_first_fit(
            points, problem, gather, held=held, events=events, constants=packed.constants, factor=factor,
            which=to_fit, threads=threads,
        )  # fmt: skip
    found = problem.run(packed, events, points, threads=threads, at_residuals=not begin.keys() & _error_names(problem))
    _report_as_named(problem, packed, events, found, threads)

    computed = to_fit & np.isfinite(found.value)
    at_lower = computed[:, None] & scale.free & (found.u <= scale.lower + _AT_BOUND)
    at_upper = computed[:, None] & scale.free & (found.u >= scale.upper - _AT_BOUND)
    codes[computed & np.isfinite(found.kinks).any(axis=1)] = Convergence.converged_at_kink
    codes[(at_lower | at_upper).any(axis=1)] = Convergence.at_bound
    codes[computed & ~(found.decrement <= CONVERGED_BELOW[problem.exact])] = Convergence.not_converged
    codes[to_fit & ~computed] = Convergence.not_computable
    codes[(codes <= Convergence.at_bound) & _flat(problem, found).any(axis=1)] = Convergence.flat
    settings = {
        "model": loaded.name,
        "group": group,
        "matrix": series[0].matrix,
        "outputs": list(places),
        "inputs": {
            name: "given" if name in given.given else f"of the model file: {entry.value:g}"
            for name, entry in loaded.specification.inputs.items()
        },
        "starts": starts,
        "seed": seed,
        "initial": begin,
        "fixed": held,
        "confidence": confidence,
        "interval": INTERVALS[interval],
        "residual": {error.output: error.in_words() for error in errors},
        "censoring": CENSORING[censoring],
        "assay_error": ASSAY_ERRORS[assay_error],
        "prior": PRIORS[prior],
        "bootstrap": bootstrap,
        "curves": used_method,
        "optimiser": "Levenberg-Marquardt in bounds, spans between samples searched about the minimum, Newton's method",
    }
    attrs = result_attrs(
        title=f"individual fits of {loaded.name}",
        settings=settings,
        source=content_hash(data),
        model=loaded.name,
        model_text=loaded.text,
        model_hash=loaded.hash,
        matrix=series[0].matrix,
        unit=series[0].unit,
        time_unit=loaded.specification.time_unit,
    )
    fitted = Fitted(
        problem=problem,
        series=series,
        data=packed,
        constants=constants,
        events=events,
        found=found,
        codes=codes,
        covariance=_covariances(problem, found, packed, codes, at_lower, at_upper),
        at_lower=at_lower,
        at_upper=at_upper,
        interval=interval,
        confidence=confidence,
        bootstrap=bootstrap,
        seed=seed,
        threads=threads,
    )
    return result_tree(fitted, attrs)


def _check_options(
    starts: int,
    seed: int,
    confidence: float,
    interval: str,
    bootstrap: int,
    threads: int,
    censoring: str,
    assay_error: str,
    prior: str,
    method: str,
) -> None:
    """Refuse wrong options."""
    for name, value, least in (("starts", starts, 1), ("seed", seed, 0), ("threads", threads, 1)):
        whole_number(name, value, least=least)
    whole_number("bootstrap", bootstrap, least=0)
    if not 0 < number("confidence", confidence) < 1:
        raise InputError(f"confidence is {confidence:g}: give a number between 0 and 1, such as 0.95")
    for name, text, known in (
        ("interval", interval, ("auto", *INTERVALS)),
        ("censoring", censoring, CENSORING),
        ("assay_error", assay_error, ASSAY_ERRORS),
        ("prior", prior, PRIORS),
        ("method", method, METHODS),
    ):
        if text not in known:
            raise InputError(f"{name} is '{text}'{suggestion(str(text), known)}: use one of {', '.join(known)}")
    if bootstrap and censoring in ("M1", "M5", "M6"):
        raise InputError(
            f"bootstrap draws samples below the LLOQ as what they are, and censoring is '{censoring}': use 'M3', or "
            "leave bootstrap out"
        )


def _parameter_values(
    what: str, given: Mapping[str, float] | None, model: Model, names: list[str], low: np.ndarray, high: np.ndarray
) -> dict[str, float]:
    """Return values of parameters by name as floats; refuse others, and those outside their bounds."""
    if not isinstance(given, Mapping | None):
        raise InputError(f'{what} holds parameters by name, such as {{"beta": 0.0032}}')
    found = {}
    for name, value in (given or {}).items():
        if name not in names:
            near = suggestion(name, names)
            raise InputError(f"{what} names '{name}', which model '{model.name}' does not have{near}")
        at = names.index(name)
        found[name] = number(f"{what}['{name}']", value)
        if not low[at] <= found[name] <= high[at]:
            raise InputError(f"{what} holds {name} at {found[name]:g}, outside its bounds {low[at]:g} to {high[at]:g}")
    return found


def _observed(
    model: Model, data: xr.DataTree | xr.Dataset, group: str, matrix: str | None, outputs: Mapping[str, str] | None
) -> dict[str, tuple[xr.Dataset, str | None]]:
    """Return, for each output to fit, its profiles and which series of them."""
    known = model.specification.outputs
    if outputs is None:
        name = model.fitted_output or next(iter(known))
        return {name: (profiles_of(data, group), matrix)}
    if not isinstance(outputs, Mapping) or not outputs:
        raise InputError('outputs says where each output\'s profiles are, such as {"cells": "flow/blood"}')
    if matrix is not None:
        raise InputError("give matrix= or outputs=, not both: outputs names each series, as in 'flow/blood'")
    found: dict[str, tuple[xr.Dataset, str | None]] = {}
    for name, place in outputs.items():
        if name not in known:
            raise InputError(f"model '{model.name}' has no output '{name}'{suggestion(str(name), known)}")
        if isinstance(data, xr.Dataset):
            found[name] = (profiles_of(data, group), str(place) or None)
        else:
            at, _, label = str(place).partition("/")
            found[name] = (profiles_of(data, at), label or None)
    return found


def _same_patients(series: list[Samples], outputs: list[str]) -> list[str]:
    for s, name in zip(series[1:], outputs[1:], strict=True):
        if s.patients != series[0].patients:
            raise InputError(
                f"outputs '{outputs[0]}' and '{name}' are of different patients, or in another order: align them"
            )
    return series[0].patients


def _error_names(problem: Problem) -> set[str]:
    return set(problem.scale.names[problem.scale.n_curve :])


def _flat(problem: Problem, found: Fits) -> np.ndarray:
    """Whether the likelihood is without any slope along a parameter that has its natural size."""
    # An estimate of 0 has no size of its own: then that of the starts counts.
    size = np.maximum(np.abs(found.u), np.where(np.isfinite(problem.scale.spread), problem.scale.spread, 0.0))
    information = np.diagonal(found.hessian, axis1=1, axis2=2) * size**2
    return np.asarray((problem.scale.transform == NONE) & problem.scale.free & (np.abs(information) < NO_INFORMATION))


def _report_as_named(problem: Problem, data: Any, events: Events | None, found: Fits, threads: int) -> None:
    """Bring estimates into the form that the model file reports where two forms give the same curve."""
    model, scale = problem.model, problem.scale
    if not model.specification.equivalent:
        return
    equivalent, size = model.compiled.equivalent, scale.n_curve
    points = found.u[:, np.newaxis, :].copy()
    again = np.zeros(len(points), dtype=bool)
    naturals = scale.to_natural(found.u)
    for row in np.flatnonzero(np.isfinite(found.value)):
        natural = naturals[row]
        other = natural.copy()
        if not equivalent(natural[:size], other[:size]):
            continue
        # Where the other form lies on a bound or beyond, the fit from there shows whether it is as good.
        u = np.clip(scale.to_estimation(other), scale.lower, scale.upper)
        if np.isfinite(u).all() and np.allclose(other[~scale.free], natural[~scale.free], rtol=1e-9):
            points[row, 0], again[row] = u, True
    if again.any():
        some = only(data, again)
        renamed = problem.run(some, events, points, threads=threads, at_residuals=False)
        same = again & (np.abs(renamed.value - found.value) < 1e-3)
        renamed.agreeing[:] = found.agreeing
        found.put(same, renamed)


def _covariances(
    problem: Problem, found: Fits, data: Data, codes: np.ndarray, at_lower: np.ndarray, at_upper: np.ndarray
) -> np.ndarray:
    """Return covariances on the estimation scale, NaN where there is none."""
    scale = problem.scale
    free = scale.free & ~at_lower & ~at_upper
    free[:, problem.switches] &= np.isnan(found.kinks)
    # Without residual error the curve goes through all points, and curvature is no measure of doubt.
    exact = without_scatter(problem.errors, scale.n_curve, at_lower, data)
    free[~((codes <= Convergence.at_bound) & np.isfinite(found.value) & ~exact)] = False
    return covariances(found.hessian, free, scale.transform != NONE, exact=problem.exact)
