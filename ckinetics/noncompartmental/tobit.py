"""Censored lines: the terminal and the expansion rate with BLQ samples as what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..threads import run_slices
from .doses import add_columns
from .parameters import FURTHER
from .windows import Windows

if TYPE_CHECKING:
    from ..kernels.nca.codes import Samples

# Parameter, column of the kernel, and how it follows from it.
_RATES = {"lambda_z_tobit": "half_life_tobit", "expansion_rate_tobit": "doubling_time_tobit"}


def add_tobit(
    result: xr.Dataset, samples: Samples, windows: Windows, rules: np.void, threads: int, unit: str
) -> xr.Dataset:
    """Return the result with the parameters of lines that know BLQ samples as below their LLOQ.

    ``lambda_z_tobit`` is the slope, by maximum likelihood with normal errors of ln level, over the quantified samples
    of the terminal line (or, where there is no lambda_z, all after Tmax) and every BLQ sample from its first sample
    on, each below its own LLOQ. ``expansion_rate_tobit`` is the same from the first BLQ sample after the infusion to
    the first peak. A line needs two quantified samples; where they lie on a line that no BLQ sample contradicts,
    nothing tells how far samples scatter, and the reason is ``no_scatter``.

    ``lambda_z_tobit_se`` is from the observed information: it knows neither that the window was chosen by its fit nor
    that σ is too small in few samples. In simulated courses ±1.96 of it covered the rate in 63 % (the tests hold it
    there); take it as the least that is unknown.
    """
    from ..kernels.nca import tobit as kernel

    shape = result["cmax"].shape
    names = ("tmax", "lambda_z_lower", "expansion_lower", "first_peak_time")
    flat = [np.ascontiguousarray(result[name].values.ravel()) for name in names]
    out, why = kernel.empty_tables(len(windows.rows))

    def work(first: int, last: int) -> None:
        kernel.tobit_all(
            samples, windows.rows, windows.starts, windows.ends, rules, first, last, *flat, out, why,
        )  # fmt: skip

    run_slices(work, len(windows.rows), threads)
    columns = {
        "lambda_z_tobit": kernel.RATE,
        "lambda_z_tobit_intercept": kernel.INTERCEPT,
        "lambda_z_tobit_se": kernel.RATE_SE,
        "lambda_z_tobit_sigma": kernel.SIGMA,
        "lambda_z_tobit_n_points": kernel.N_POINTS,
        "lambda_z_tobit_n_blq": kernel.N_CENSORED,
        "expansion_rate_tobit": kernel.EXPANSION,
        "expansion_rate_tobit_n_points": kernel.EXPANSION_POINTS,
        "expansion_rate_tobit_n_blq": kernel.EXPANSION_CENSORED,
    }
    values = {name: out[:, column] for name, column in columns.items()}
    codes = {name: why[:, column] for name, column in columns.items()}
    for rate, time in _RATES.items():
        values[time], codes[time] = np.log(2.0) / values[rate], codes[rate]
    shown = [name for name in FURTHER if name in values]
    return add_columns(
        result,
        {name: (values[name].reshape(shape), FURTHER[name]) for name in shown},
        [codes[name].reshape(shape) for name in shown],
        unit,
    )
