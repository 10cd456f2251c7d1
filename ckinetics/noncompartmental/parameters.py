"""The registry of parameters: one record each; the order is that of the kernel's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UnitRule = Literal[
    "level", "time", "level*time", "level*time^2", "1/time", "%", "1", "level/dose", "level*time/dose", "clearance",
    "volume",
]  # fmt: skip
Statistic = Literal["geometric", "arithmetic", "median", "none"]

DISPOSITION = ("cmin", "cav", "kel_obs", "cl_obs", "vz_obs")


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes
    ----------
    name : name of the variable in the result
    pptestcd : CDISC PPTESTCD, "" where there is none
    unit : how its unit follows from the units of level, time and dose
    statistic : what a summary shows first; "none" for figures that describe one profile only
    meaning : what it is
    depends : parameters whose reason it inherits
    function : the function that computes it, below ``ckinetics``
    label : its name in a table of CDISC (PPTEST)
    """

    name: str
    pptestcd: str
    unit: UnitRule
    statistic: Statistic
    meaning: str
    depends: tuple[str, ...] = ()
    function: str = "kernels.nca.profiles.analyse"
    label: str = ""

    def units(self, level: str, time: str, dose: str = "cells") -> str:
        """Return the parameter's unit; "" where it follows from a unit that is unknown.

        Examples
        --------
        >>> PARAMETERS["auc_last"].units("copies/ug", "day")
        'day*copies/ug'
        """
        if not level and "level" in self.unit:
            return ""
        return {
            "level": level,
            "time": time,
            "level*time": f"{time}*{level}",
            "level*time^2": f"{time}^2*{level}",
            "1/time": f"1/{time}",
            "%": "%",
            "1": "1",
            "level/dose": f"({level})/{dose}",
            "level*time/dose": f"({time}*{level})/{dose}",
            "clearance": f"{dose}/({time}*{level})" if level else "",
            "volume": f"{dose}/({level})" if level else "",
        }[self.unit]


_LINE = "kernels.nca.profiles.line_parameters"
_AREAS = "kernels.nca.profiles.whole_areas"
_CELLS = "kernels.nca.cells."
_INFINITE = ("auc_last", "lambda_z")

PARAMETERS: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter("cmax", "CMAX", "level", "geometric", "largest level", label="Max Conc"),
        Parameter("tmax", "TMAX", "time", "median", "time of the largest level", ("cmax",), label="Time of CMAX"),
        Parameter("tlast", "TLST", "time", "median", "time of the last quantified level", label="Time of Last Nonzero Conc"),
        Parameter("clast_obs", "CLST", "level", "geometric", "last quantified level", label="Last Nonzero Conc"),
        Parameter("clast_pred", "CLSTP", "level", "geometric", "level at tlast on the terminal line", ("lambda_z",), _LINE),
        Parameter("auc_last", "AUCLST", "level*time", "geometric", "area from 0 to tlast", (), _AREAS, "AUC to Last Nonzero Conc"),
        Parameter("auc_all", "AUCALL", "level*time", "geometric", "area from 0 to the first BLQ sample after tlast", (), _AREAS, "AUC All"),
        Parameter("auc_inf_obs", "AUCIFO", "level*time", "geometric", "area to infinity from clast_obs", _INFINITE, _AREAS, "AUC Infinity Obs"),
        Parameter("auc_inf_pred", "AUCIFP", "level*time", "geometric", "area to infinity from clast_pred", _INFINITE, _AREAS, "AUC Infinity Pred"),
        Parameter("auc_pct_extrap_obs", "AUCPEO", "%", "median", "share of auc_inf_obs beyond tlast", ("auc_inf_obs",), _AREAS, "AUC %Extrapolation Obs"),
        Parameter("auc_pct_extrap_pred", "AUCPEP", "%", "median", "share of auc_inf_pred beyond tlast", ("auc_inf_pred",), _AREAS, "AUC %Extrapolation Pred"),
        Parameter("aumc_last", "AUMCLST", "level*time^2", "geometric", "area under t·level from 0 to tlast", ("auc_last",), _AREAS, "AUMC to Last Nonzero Conc"),
        Parameter("aumc_all", "AUMCALL", "level*time^2", "geometric", "area under t·level to the first BLQ sample after tlast", ("auc_all",), _AREAS),
        Parameter("aumc_inf_obs", "AUMCIFO", "level*time^2", "geometric", "area under t·level to infinity from clast_obs", _INFINITE, _AREAS, "AUMC Infinity Obs"),
        Parameter("aumc_inf_pred", "AUMCIFP", "level*time^2", "geometric", "area under t·level to infinity from clast_pred", _INFINITE, _AREAS, "AUMC Infinity Pred"),
        Parameter("mrt_last", "MRTLST", "time", "geometric", "mean residence time to tlast, aumc_last / auc_last", ("auc_last",), _AREAS),
        Parameter("mrt_inf_obs", "MRTIFO", "time", "geometric", "mean residence time, aumc_inf_obs / auc_inf_obs", _INFINITE, _AREAS, "MRT Infinity Obs"),
        Parameter("mrt_inf_pred", "MRTIFP", "time", "geometric", "mean residence time, aumc_inf_pred / auc_inf_pred", _INFINITE, _AREAS, "MRT Infinity Pred"),
        Parameter("half_life_effective", "", "time", "geometric", "ln 2 · mrt_inf_obs", ("mrt_inf_obs",), _AREAS),
        Parameter("lambda_z", "LAMZ", "1/time", "geometric", "terminal rate", (), "kernels.nca.lines.terminal_line", "Lambda z"),
        Parameter("lambda_z_intercept", "", "1", "none", "ln level of the terminal line at time 0", ("lambda_z",), _LINE),
        Parameter("lambda_z_n_points", "LAMZNPT", "1", "median", "samples in the terminal line", ("lambda_z",), _LINE, "Number of Points for Lambda z"),
        Parameter("lambda_z_lower", "LAMZLL", "time", "median", "first time in the terminal line", ("lambda_z",), _LINE, "Lambda z Lower Limit"),
        Parameter("lambda_z_upper", "LAMZUL", "time", "median", "last time in the terminal line", ("lambda_z",), _LINE, "Lambda z Upper Limit"),
        Parameter("r_squared", "R2", "1", "median", "R² of the terminal line", ("lambda_z",), _LINE, "R Squared"),
        Parameter("adj_r_squared", "R2ADJ", "1", "median", "adjusted R² of the terminal line", ("lambda_z",), _LINE, "R Squared Adjusted"),
        Parameter("span_ratio", "LAMZSPN", "1", "median", "times of the terminal line over half_life", ("lambda_z",), _LINE, "Lambda z Span"),
        Parameter("half_life", "LAMZHL", "time", "geometric", "terminal half-life, ln 2 / lambda_z", ("lambda_z",), _LINE, "Half-Life Lambda z"),
        Parameter("cmax_lower", "", "level", "geometric", "lower bound of the largest level", (), "kernels.nca.profiles.hide_above"),
        Parameter("cmax_upper", "", "level", "geometric", "upper bound of the largest level", (), "kernels.nca.profiles.all_below"),
        Parameter("auc_last_lower", "", "level*time", "geometric", "lower bound of auc_last: samples above ULOQ stand at it", ("auc_last",), _AREAS),
        Parameter("auc_pct_anchor", "", "%", "median", "share of auc_last before the first sample (from an anchor at 0)", ("auc_last",), _AREAS),
        Parameter("tfirst", "", "time", "median", "time of the first quantified level", (), "kernels.nca.profiles.first_rise"),
        Parameter("tlag", "TLAG", "time", "median", "time of the sample before the first rise", (), "kernels.nca.profiles.first_rise", "Time Until First Nonzero Conc"),
        Parameter("baseline", "", "level", "geometric", "level before the infusion", (), "kernels.nca.profiles.baseline_of"),
        Parameter("persistence", "", "time", "none", "time that the cells stayed quantifiable, by the convention named; see persistence_upper for whether that ended", (), _CELLS + "persistence"),
        Parameter("persistence_lower", "", "time", "none", "last time at which the cells were quantifiable", (), _CELLS + "persistence"),
        Parameter("persistence_upper", "", "time", "none", "first BLQ sample after that; infinite where the last sample is quantified", (), _CELLS + "persistence"),
        Parameter("tbql", "", "time", "median", "time of the first BLQ sample after tlast", ("tlast",), _CELLS + "persistence"),
        Parameter("expansion_rate", "", "1/time", "geometric", "slope of ln level from the first quantified sample (after infused cells, from their dip) to the first peak", (), _CELLS + "expansion"),
        Parameter("doubling_time", "", "time", "geometric", "ln 2 / expansion_rate", ("expansion_rate",), _CELLS + "expansion"),
        Parameter("expansion_n_points", "", "1", "median", "samples in the expansion's line", (), _CELLS + "expansion"),
        Parameter("expansion_lower", "", "time", "median", "first time in the expansion's line", (), _CELLS + "expansion"),
        Parameter("expansion_upper", "", "time", "median", "last time in the expansion's line", (), _CELLS + "expansion"),
        Parameter("fold_expansion", "", "1", "geometric", "cmax over the first quantified level (after infused cells, over their dip)", ("cmax",), _CELLS + "fold"),
        Parameter("fold_expansion_lower", "", "1", "geometric", "lower bound of the fold expansion: cmax over the LLOQ of the last BLQ sample before the first quantified one", ("cmax",), _CELLS + "fold"),
        Parameter("contraction_half_life", "", "time", "geometric", "half-life of the early contraction after the first peak", (), _CELLS + "contraction"),
        Parameter("contraction_n_points", "", "1", "median", "samples in the contraction's line", (), _CELLS + "contraction"),
        Parameter("contraction_lower", "", "time", "median", "first time in the contraction's line", (), _CELLS + "contraction"),
        Parameter("contraction_upper", "", "time", "median", "last time in the contraction's line", (), _CELLS + "contraction"),
        Parameter("trough", "", "level", "geometric", "lowest level between the first and the second peak", (), _CELLS + "second_expansion"),
        Parameter("trough_time", "", "time", "median", "time of the trough", (), _CELLS + "second_expansion"),
        Parameter("second_peak", "", "level", "geometric", "largest level of a second expansion", (), _CELLS + "second_expansion"),
        Parameter("second_peak_time", "", "time", "median", "time of the second peak", (), _CELLS + "second_expansion"),
        Parameter("threshold_time", "", "time", "median", "first time at which the threshold is reached, interpolated", (), _CELLS + "above_threshold"),
        Parameter("threshold_duration", "", "time", "median", "time spent at or above the threshold, interpolated, up to the last sample", (), _CELLS + "above_threshold"),
        Parameter("cmin", "CMIN", "level", "geometric", "smallest level, BLQ as the rule takes it", label="Min Conc"),
        Parameter("cav", "CAVG", "level", "geometric", "auc_last over the length of the window", ("auc_last",), label="Average Conc"),
    )
}  # fmt: skip
KERNEL_COLUMNS = tuple(PARAMETERS)

_DOSE = "noncompartmental.doses.add_dose_parameters"
_TOBIT = "kernels.nca.tobit.censored_line"
FURTHER: dict[str, Parameter] = {
    parameter.name: parameter
    for parameter in (
        Parameter("cmax_dn", "CMAXD", "level/dose", "geometric", "cmax over the dose", ("cmax",), _DOSE, "Max Conc Norm by Dose"),
        Parameter("auc_last_dn", "AUCLSTD", "level*time/dose", "geometric", "auc_last over the dose", ("auc_last",), _DOSE, "AUC to Last Nonzero Conc Norm by Dose"),
        Parameter("auc_inf_obs_dn", "AUCIFOD", "level*time/dose", "geometric", "auc_inf_obs over the dose", ("auc_inf_obs",), _DOSE, "AUC Infinity Obs Norm by Dose"),
        Parameter("kel_obs", "", "1/time", "geometric", "1 / mrt_inf_obs", ("mrt_inf_obs",), _DOSE),
        Parameter("cl_obs", "CLO", "clearance", "geometric", "dose over auc_inf_obs", ("auc_inf_obs",), _DOSE, "Total CL Obs"),
        Parameter("vz_obs", "VZO", "volume", "geometric", "cl_obs over lambda_z", ("cl_obs", "lambda_z"), _DOSE, "Vz Obs"),
        Parameter("lambda_z_tobit", "", "1/time", "geometric", "terminal rate of a line that knows the BLQ samples as below their LLOQ", (), _TOBIT),
        Parameter("half_life_tobit", "", "time", "geometric", "ln 2 / lambda_z_tobit", ("lambda_z_tobit",), _TOBIT),
        Parameter("lambda_z_tobit_intercept", "", "1", "none", "ln level of that line at time 0", ("lambda_z_tobit",), _TOBIT),
        Parameter("lambda_z_tobit_se", "", "1/time", "none", "standard error of lambda_z_tobit from the observed information (too small: the window was chosen)", ("lambda_z_tobit",), _TOBIT),
        Parameter("lambda_z_tobit_sigma", "", "1", "median", "standard deviation of ln level about that line (maximum likelihood)", ("lambda_z_tobit",), _TOBIT),
        Parameter("lambda_z_tobit_n_points", "", "1", "median", "quantified samples in that line", (), _TOBIT),
        Parameter("lambda_z_tobit_n_blq", "", "1", "median", "BLQ samples in that line", (), _TOBIT),
        Parameter("expansion_rate_tobit", "", "1/time", "geometric", "rate of expansion of a line that knows the BLQ samples before it as below their LLOQ", (), _TOBIT),
        Parameter("doubling_time_tobit", "", "time", "geometric", "ln 2 / expansion_rate_tobit", ("expansion_rate_tobit",), _TOBIT),
        Parameter("expansion_rate_tobit_n_points", "", "1", "median", "quantified samples in that line", (), _TOBIT),
        Parameter("expansion_rate_tobit_n_blq", "", "1", "median", "BLQ samples in that line", (), _TOBIT),
    )
}  # fmt: skip
AREA = Parameter(
    "auc_interval", "AUCINT", "level*time", "geometric", "area over the interval",
    function="kernels.nca.areas.interval_area", label="AUC from T1 to T2",
)  # fmt: skip
AREA_DN = Parameter(
    "auc_interval_dn", "AUCINTD", "level*time/dose", "geometric", "area over the interval, over the dose",
    ("auc_interval",), _DOSE, "AUC from T1 to T2 Norm by Dose",
)  # fmt: skip


def find_parameter(name: str) -> Parameter | None:
    """Return the record of a parameter, also of ``auc_interval 0-28``; None where there is none of that name."""
    if name.split(" ")[0] in ("auc_interval", "auc_interval_dn"):
        return AREA_DN if name.startswith("auc_interval_dn") else AREA
    return PARAMETERS.get(name) or FURTHER.get(name)
