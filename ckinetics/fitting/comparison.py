"""Comparing models: information criteria of fits of the same data, for each patient and summed."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from ..provenance import result_attrs
from ..schema import YesNo
from ..suggestions import suggestion
from .codes import Convergence, flag
from .common_data import Common, Fits, common_data
from .criteria import CRITERIA, aic, aicc, bic, differences, ranks, weights

FAILURES = {
    "drop": "a patient without a value of the criterion for every model is in no sum",
    "refuse": "a patient without a value of the criterion for every model is an error",
    "disqualify": "a model without a value of the criterion for a patient who has one for another model has weight 0 "
    "there and in the sums; a patient without any value is in no sum",
}


class Compared(IntEnum):
    """Whether a fit of a patient has a value of the criterion.

    compared : yes.
    not_fitted : the fit is not at a minimum that means something, or used other samples than the other models.
    undefined : the criterion needs more samples.
    """

    compared = 0
    not_fitted = 1
    undefined = 2


def compare(fits: Fits, /, *, criterion: str = "AICc", failures: str = "drop") -> xr.DataTree:
    """Compare models fitted to the same data.

    Each patient's fit has parameters of its own, so that criteria of patients add up: a sum over patients compares the
    models for the cohort. Only samples that all models used are compared.

    Parameters
    ----------
    fits : sequence or mapping by name of DataTree
        Results of `ckinetics.fit` for the same cohort, each without a prior and with the same `censoring`. In a
        sequence each goes by its model's name.
    criterion : {"AICc", "AIC", "BIC"}
        What differences, weights and ranks are of. All three are returned.
    failures : {"drop", "refuse", "disqualify"}
        What becomes of a patient for whom a model has no value of the criterion. "drop": no sum has this patient, so
        that sums of all models are over the same patients. "refuse": an error that names patient and model.
        "disqualify": the model has weight 0 for this patient and, having failed one patient that another model fits,
        in the sums; a patient whom no model fits is in no sum. In each case they are counted.

    Returns
    -------
    DataTree
        Root, over ``model``, sums over the patients in ``n_patients``: minus2ll, aic, aicc, bic, delta, weight, rank;
        n_samples; n_parameters (estimated in each patient, those of the residual error included); n_failed and
        n_undefined (patients without a value, because of the fit or because the criterion needs more samples);
        n_best (patients of the sum for whom the model's criterion is least).

        ``/patients``, over (model, patient): the same for each, with convergence (of the fit), message (the fit in
        words), outcome (`ckinetics.fitting.comparison.Compared`) and reason (why there is no value); ``in_sum`` over
        patient.

        ``n_samples`` is the number of samples used, censored ones included. AICc is −2LL + 2p + 2p(p+1)/(n−p−1), and
        NaN with a reason where n is p + 1 or less; BIC is −2LL + p·ln(n) with the patient's n. A weight is
        exp(−delta/2) over the sum of it; patients' weights sum to 1 over the models that have a value.

    Raises
    ------
    InputError
        No fit, one that is none or has a prior, two of one name, other patients, samples or censoring; an option that
        is none; with "refuse", a patient without a value.
    StaleResultError
        Fits of different data.

    Notes
    -----
    −2 log-likelihoods of densities of ln(level) and of the level differ by 2·Σ ln(level) over quantified samples (the
    Jacobian). Where residual errors of both kinds are compared, all are brought to ln(level); the attributes
    ``scale`` and ``notes`` say so. Probabilities of censored samples are the same on both.

    References
    ----------
    Burnham KP, Anderson DR. Model Selection and Multimodel Inference, 2nd ed. 2002, doi 10.1007/b97636. Hurvich CM,
    Tsai C-L. Biometrika 1989;76:297, doi 10.1093/biomet/76.2.297 (AICc).

    Examples
    --------
    >>> from ckinetics.fitting import fit
    >>> from ckinetics.simulation import simulate
    >>> data = simulate("stein2019", times=[1, 3, 5, 7, 9, 11, 14, 21, 28, 60, 90, 180, 365], n=2, seed=1)
    >>> free, flat = fit(data, "stein2019"), fit(data, "stein2019", fixed={"beta": 1e-4})
    >>> found = compare({"free": free, "no late decline": flat})
    >>> round(float(found["weight"].sum()), 9)
    1.0
    """
    _check(criterion, failures)
    common = common_data(fits)
    p, n = common.n_parameters[:, np.newaxis], common.n_samples
    values = {
        "AIC": aic(common.minus2ll, p),
        "AICc": aicc(common.minus2ll, p, n),
        "BIC": bic(common.minus2ll, p, n),
    }
    chosen = values[criterion]
    outcome = np.where(common.failures != "", Compared.not_fitted, Compared.compared)
    outcome[(outcome == Compared.compared) & np.isnan(chosen)] = Compared.undefined
    has_value = outcome == Compared.compared
    if failures == "refuse" and not has_value.all():
        raise InputError(_refusal(common, outcome, criterion))
    whole = has_value.any(axis=0) if failures == "disqualify" else has_value.all(axis=0)
    out_of_it = whole & ~has_value  # models that fail a patient of the sums, with "disqualify" only
    delta = np.where(out_of_it, np.inf, differences(chosen))
    of_patients = _patients(common, values, chosen, delta, outcome, whole, criterion)
    root = _sums(common, values, criterion, whole, outcome, of_patients)
    root.attrs.update(
        result_attrs(
            title=f"comparison of {', '.join(common.names)}",
            settings={
                "models": common.names,
                "criterion": criterion,
                "failures": FAILURES[failures],
                "n": "samples used, censored ones included",
            },
            source=str(common.fits[0].attrs["cohort_hash"]),
            result="comparison",
            criterion=criterion,
            failures=failures,
            scale=common.scale,
            notes="; ".join(common.notes),
            matrix=str(common.fits[0].attrs.get("matrix", "")),
        )
    )
    return xr.DataTree.from_dict({"/": root, "/patients": of_patients}, name="comparison")


def _check(criterion: str, failures: str) -> None:
    for name, text, known in (("criterion", criterion, CRITERIA), ("failures", failures, tuple(FAILURES))):
        if text not in known:
            raise InputError(f"{name} is '{text}'{suggestion(str(text), known)}: use one of {', '.join(known)}")


def _refusal(common: Common, outcome: np.ndarray, criterion: str) -> str:
    model, patient = np.argwhere(outcome != Compared.compared)[0]
    count = int((outcome != Compared.compared).any(axis=0).sum())
    reason = _reason(common, outcome, criterion, model, patient)
    return (
        f"patient '{common.patients[patient]}' has no {criterion} for '{common.names[model]}' ({reason}), one of "
        f"{count} such patients: leave them out with failures='drop', or fit otherwise"
    )


def _reason(common: Common, outcome: np.ndarray, criterion: str, model: int, patient: int) -> str:
    if outcome[model, patient] == Compared.not_fitted:
        return str(common.failures[model, patient])
    if outcome[model, patient] == Compared.undefined:
        n, p = common.n_samples[model, patient], common.n_parameters[model]
        return f"{criterion} of {p} parameters needs {p + 2} samples or more, and there are {n}"
    return ""


def _patients(
    common: Common,
    values: dict[str, np.ndarray],
    chosen: np.ndarray,
    delta: np.ndarray,
    outcome: np.ndarray,
    whole: np.ndarray,
    criterion: str,
) -> xr.Dataset:
    dims, shape = ("model", "patient"), outcome.shape
    reasons = np.array(
        [[_reason(common, outcome, criterion, at, row) for row in range(shape[1])] for at in range(shape[0])],
        dtype=object,
    ).reshape(shape)
    messages = np.array([fit.dataset["message"].values for fit in common.fits], dtype=object).reshape(shape)
    judged = np.where(np.isinf(delta), np.inf, chosen)
    variables: dict[str, Any] = {
        "n_samples": (dims, common.n_samples.astype(np.float64), _number("samples used, censored ones included")),
        "n_quantified": (dims, common.n_quantified.astype(np.float64), _number("quantified samples used")),
        **_criteria(dims, common, common.minus2ll, values),
        "delta": (dims, delta, {"long_name": f"{criterion} above the least; infinite where disqualified"}),
        "weight": (dims, weights(delta), {"long_name": f"weight by {criterion}, of models that have a value"}),
        "rank": (dims, ranks(judged), _number(f"rank by {criterion}, 1 the best")),
        "convergence": (dims, common.codes, flag(Convergence, "how the fit ended")),
        "outcome": (dims, outcome.astype(np.int8), flag(Compared, f"whether there is a value of {criterion}")),
        "reason": (dims, reasons, {"long_name": f"why there is no value of {criterion}"}),
        "message": (dims, messages, {"long_name": "the fit in words"}),
        "in_sum": (
            ("patient",),
            np.where(whole, YesNo.yes, YesNo.no).astype(np.int8),
            flag(YesNo, "in the sums over patients"),
        ),
    }
    patients = ("patient", np.array(common.patients, dtype=object), {"long_name": "patient"})
    return xr.Dataset(variables, {"model": _models(common), "patient": patients})


def _sums(
    common: Common,
    values: dict[str, np.ndarray],
    criterion: str,
    whole: np.ndarray,
    outcome: np.ndarray,
    of_patients: xr.Dataset,
) -> xr.Dataset:
    def total(table: np.ndarray) -> np.ndarray:
        # A model that fails a patient of the sum has no sum; without patients there is none either.
        return np.asarray(table[:, whole].sum(axis=1)) if whole.any() else np.full(len(table), np.nan)

    sums = {name: total(table) for name, table in values.items()}
    out_of_it = whole.any() & (outcome[:, whole] != Compared.compared).any(axis=1)
    delta = np.where(out_of_it, np.inf, differences(sums[criterion]))
    judged = np.where(out_of_it, np.inf, sums[criterion])
    best = (of_patients["delta"].values[:, whole] == 0.0).sum(axis=1)
    dims = ("model",)
    variables: dict[str, Any] = {
        "n_patients": ((), np.float64(whole.sum()), _number("patients in the sums")),
        "n_left_out": ((), np.float64((~whole).sum()), _number("patients in no sum")),
        "n_samples": (dims, common.n_samples[:, whole].sum(axis=1).astype(np.float64), _number("samples used")),
        "n_parameters": (
            dims,
            common.n_parameters.astype(np.float64),
            _number("parameters estimated in each patient, those of the residual error included"),
        ),
        **_criteria(dims, common, total(common.minus2ll), sums),
        "delta": (dims, delta, {"long_name": f"sum of {criterion} above the least; infinite where disqualified"}),
        "weight": (dims, weights(delta), {"long_name": f"weight by the sum of {criterion}"}),
        "rank": (dims, ranks(judged), _number(f"rank by the sum of {criterion}, 1 the best")),
        "n_best": (dims, best.astype(np.float64), _number(f"patients in the sums whose {criterion} is least")),
        "n_failed": (
            dims,
            (outcome == Compared.not_fitted).sum(axis=1).astype(np.float64),
            _number("patients whose fit cannot be compared; the reasons are in patients/reason"),
        ),
        "n_undefined": (
            dims,
            (outcome == Compared.undefined).sum(axis=1).astype(np.float64),
            _number(f"patients with too few samples for {criterion}"),
        ),
    }
    return xr.Dataset(variables, {"model": _models(common)})


def _criteria(
    dims: tuple[str, ...], common: Common, minus2ll: np.ndarray, values: dict[str, np.ndarray]
) -> dict[str, Any]:
    return {
        "minus2ll": (dims, minus2ll, {"long_name": f"−2 log-likelihood, {common.scale}"}),
        "aic": (dims, values["AIC"], {"long_name": "Akaike's criterion"}),
        "aicc": (dims, values["AICc"], {"long_name": "Akaike's criterion corrected for the number of samples"}),
        "bic": (dims, values["BIC"], {"long_name": "Schwarz's criterion, ln of the patient's samples"}),
    }


def _number(meaning: str) -> dict[str, str]:
    return {"long_name": meaning, "units": "1"}


def _models(common: Common) -> Any:
    return "model", np.array(common.names, dtype=object), {"long_name": "model"}
