"""The registry of parameters: name, CDISC code, unit rule, meaning and summary statistic of each.

The position of a record in `PARAMETERS` is its column in the kernel's table of results; the registry is
also the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UnitRule = Literal["level", "time", "level*time", "1/time", "%", "1"]
Statistic = Literal["geometric", "arithmetic", "median"]


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name : name of the variable in the result
    pptestcd : CDISC PPTESTCD, "" where there is none
    unit : how its unit follows from the units of level and time
    statistic : what a summary shows first
    meaning : what it is
    depends : parameters whose reason it inherits
    """

    name: str
    pptestcd: str
    unit: UnitRule
    statistic: Statistic
    meaning: str
    depends: tuple[str, ...] = ()

    def units(self, level: str, time: str) -> str:
        """Return the parameter's unit.

        Examples
        --------
        >>> PARAMETERS["auc_last"].units("copies/ug", "day")
        'day*copies/ug'
        """
        return {
            "level": level,
            "time": time,
            "level*time": f"{time}*{level}" if level else "",
            "1/time": f"1/{time}",
            "%": "%",
            "1": "1",
        }[self.unit]


PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter("cmax", "CMAX", "level", "geometric", "largest level"),
        Parameter("tmax", "TMAX", "time", "median", "time of the first largest level", ("cmax",)),
        Parameter("tlast", "TLST", "time", "median", "time of the last quantified level"),
        Parameter("clast_obs", "CLST", "level", "geometric", "last quantified level"),
        Parameter("clast_pred", "CLSTP", "level", "geometric", "level at tlast on the terminal line", ("lambda_z",)),
        Parameter("auc_last", "AUCLST", "level*time", "geometric", "area from 0 to tlast"),
        Parameter("auc_all", "AUCALL", "level*time", "geometric", "area from 0 to the first BLQ sample after tlast"),
        Parameter(
            "auc_inf_obs",
            "AUCIFO",
            "level*time",
            "geometric",
            "area to infinity from clast_obs",
            ("auc_last", "lambda_z"),
        ),
        Parameter(
            "auc_inf_pred",
            "AUCIFP",
            "level*time",
            "geometric",
            "area to infinity from clast_pred",
            ("auc_last", "lambda_z"),
        ),
        Parameter(
            "auc_pct_extrap_obs",
            "AUCPEO",
            "%",
            "median",
            "share of auc_inf_obs beyond tlast",
            ("auc_inf_obs",),
        ),
        Parameter(
            "auc_pct_extrap_pred",
            "AUCPEP",
            "%",
            "median",
            "share of auc_inf_pred beyond tlast",
            ("auc_inf_pred",),
        ),
        Parameter("lambda_z", "LAMZ", "1/time", "geometric", "terminal rate"),
        Parameter(
            "lambda_z_intercept",
            "",
            "1",
            "arithmetic",
            "ln level of the terminal line at time 0",
            ("lambda_z",),
        ),
        Parameter("lambda_z_n_points", "LAMZNPT", "1", "median", "samples in the terminal line", ("lambda_z",)),
        Parameter("lambda_z_lower", "LAMZLL", "time", "median", "first time in the terminal line", ("lambda_z",)),
        Parameter("lambda_z_upper", "LAMZUL", "time", "median", "last time in the terminal line", ("lambda_z",)),
        Parameter("r_squared", "R2", "1", "median", "R² of the terminal line", ("lambda_z",)),
        Parameter("adj_r_squared", "R2ADJ", "1", "median", "adjusted R² of the terminal line", ("lambda_z",)),
        Parameter("span_ratio", "LAMZSPN", "1", "median", "times of the terminal line over half_life", ("lambda_z",)),
        Parameter("half_life", "LAMZHL", "time", "geometric", "terminal half-life, ln 2 / lambda_z", ("lambda_z",)),
        Parameter("cmax_lower", "", "level", "geometric", "lower bound of the largest level"),
        Parameter("cmax_upper", "", "level", "geometric", "upper bound of the largest level"),
        Parameter(
            "auc_pct_anchor",
            "",
            "%",
            "median",
            "share of auc_last before the first sample (from an anchor at 0)",
            ("auc_last",),
        ),
    )
}
