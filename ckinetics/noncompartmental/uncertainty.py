"""Standard errors and intervals of an analysis, from the assay's standard errors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..errors import InputError
from ..threads import run_slices
from .reasons import Reason, flag_attrs, label_of
from .windows import Windows

if TYPE_CHECKING:
    from ..kernels.nca.codes import Samples

KINDS = ("delta", "bootstrap", "both")
# In the order of the kernel's estimates; interval areas follow.
ESTIMATES = ("cmax", "auc_last", "auc_inf_obs", "lambda_z", "half_life")


@dataclass(frozen=True)
class Uncertainty:
    """How uncertainty is found.

    Attributes
    ----------
    kind : "delta", "bootstrap" or "both"
    draws : resampled profiles of the bootstrap
    level : level of the intervals
    seed : seed of the bootstrap
    """

    kind: str
    draws: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"unknown uncertainty '{self.kind}': use one of {', '.join(KINDS)}")
        if isinstance(self.draws, bool) or not isinstance(self.draws, int) or self.draws < 100:
            raise InputError(f"draws is {self.draws!r}: give a whole number of 100 or more")
        if not 0.5 <= self.level < 1:
            raise InputError(f"level is {self.level!r}: give a number from 0.5 to below 1")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise InputError(f"seed is {self.seed!r}: give a whole number of 0 or more")


def add_uncertainty(
    result: xr.Dataset, samples: Samples, windows: Windows, rules: np.void, how: Uncertainty, threads: int
) -> xr.Dataset:
    """Return the result with standard errors and intervals over a dim ``estimate``.

    ``estimate`` names cmax, auc_last, auc_inf_obs, lambda_z, half_life and each ``auc_interval``. The errors of the
    assay are normal in ln level: ``se_well`` of each sample, ``se_plate`` shared by all samples of a plate (taken as 0
    where only ``se_well`` is known). They say how far the assay alone moves a value; biology and the choice of sampling
    days are not in them.

    - delta method: ``se``, and ``ci_lower``, ``ci_upper`` from value·exp(±z·se/value). The samples of the terminal line
      and all BLQ samples are held.
    - bootstrap: ``boot_se``, ``boot_lower``, ``boot_upper``, the bias-corrected percentile interval (Efron 1981) of
      profiles drawn anew, each analysed as the original was, terminal line and all. A BLQ sample's true level is
      drawn uniformly below its limit and measured again; what falls below its LLOQ is BLQ.

    The estimand of ``cmax`` is the level at the observed Tmax, not the maximum of resampled levels, which noise alone
    pushes up. ``se_reason_code`` and ``boot_reason_code`` say why one is missing where its value is there; a value of
    zero has no interval by the delta method, and one without any quantified sample none at all.
    """
    from scipy.special import ndtri

    from ..kernels.nca import errors as kernel

    lead = [str(dim) for dim in result["cmax"].dims]
    shape = result["cmax"].shape
    names = [*ESTIMATES, *(f"auc_interval {label}" for label in result["interval"].values.tolist())]
    values = np.stack([result[name].values for name in ESTIMATES], axis=-1)
    values = np.concatenate([values, result["auc_interval"].transpose(*lead, "interval").values], axis=-1)
    count, size = len(windows.rows), len(names)
    spans = np.stack([result["interval_start"].values, result["interval_end"].values], axis=-1)
    flat = np.ascontiguousarray(values.reshape(count, size))
    tmax = np.ascontiguousarray(result["tmax"].values.ravel())
    used = np.ascontiguousarray(result["lambda_z_used"].values.reshape(count, result.sizes["sample"]))
    quantile = float(ndtri(0.5 + how.level / 2))
    out = result.assign_coords(estimate=("estimate", np.array(names, dtype=object)))
    dims = (*lead, "estimate")
    held = rules.copy()
    held["by_hand"] = True
    for kind in ("delta", "bootstrap"):
        if how.kind not in (kind, "both"):
            continue
        draws = 0 if kind == "delta" else how.draws
        streams = _streams(result, lead) if draws else np.zeros(1, dtype=np.uint64)
        delta, why = np.full((count, size), np.nan), np.zeros((count, size), dtype=np.int8)
        boot, boot_why = np.full((count, size, 3), np.nan), np.zeros((count, size), dtype=np.int8)

        def work(
            first: int,
            last: int,
            draws: int = draws,
            streams: np.ndarray = streams,
            found: tuple[np.ndarray, ...] = (delta, why, boot, boot_why),
        ) -> None:
            kernel.uncertainty_all(
                samples, windows.rows, windows.starts, windows.ends, rules if draws else held, spans, first, last, flat,
                tmax, used, streams, how.seed, draws, quantile, *found,
            )  # fmt: skip

        run_slices(work, count, threads)
        reasons = why if kind == "delta" else boot_why
        missing = np.isnan(flat)
        reasons[missing] = _own_reasons(result, lead).reshape(count, size)[missing]
        if kind == "delta":
            # Zero has no logarithm that an error could be normal in.
            zero = flat == 0.0
            delta[zero] = np.nan
            reasons[zero & (reasons == Reason.computed)] = Reason.no_area
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                spread = np.exp(quantile * delta / flat)
            found = {"se": delta, "ci_lower": flat / spread, "ci_upper": flat * spread}
        else:
            found = {"boot_se": boot[..., 0], "boot_lower": boot[..., 1], "boot_upper": boot[..., 2]}
        meaning = {"delta": "delta method, log-normal", "bootstrap": "bias-corrected percentiles of the bootstrap"}[
            kind
        ]
        for name, table in found.items():
            text = "standard error" if name.endswith("se") else f"end of the {100 * how.level:g} % interval"
            out[name] = (dims, table.reshape(*shape, size), {"long_name": f"{text} from the assay ({meaning})"})
        name = "se_reason_code" if kind == "delta" else "boot_reason_code"
        attrs = {"long_name": "why a standard error is missing", **flag_attrs()}
        out[name] = (dims, reasons.reshape(*shape, size), attrs)
    return out


def _own_reasons(result: xr.Dataset, lead: list[str]) -> np.ndarray:
    """Return the reasons of the values themselves."""
    whole = result["reason_code"].sel(parameter=list(ESTIMATES)).transpose(*lead, "parameter").values
    areas = result["interval_reason_code"].transpose(*lead, "interval").values
    return np.concatenate([whole, areas], axis=-1)


def _streams(result: xr.Dataset, lead: list[str]) -> np.ndarray:
    """Return a stream of random numbers for each profile, from its labels alone."""
    labels = [[str(label_of(result, dim, at)) for at in range(result.sizes[dim])] for dim in lead]
    digests = (hashlib.sha256("\0".join(words).encode()).digest()[:8] for words in product(*labels))
    count = int(np.prod([result.sizes[dim] for dim in lead]))
    return np.fromiter((int.from_bytes(raw, "little") for raw in digests), dtype=np.uint64, count=count)
