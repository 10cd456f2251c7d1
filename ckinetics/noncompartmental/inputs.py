"""Profiles as the kernels take them, and the checks before any analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..errors import InputError
from ..schema import BLQ_STATUSES, Excluded, Status

if TYPE_CHECKING:
    from ..kernels.nca.codes import Samples

_LAST_DIM = "sample"


def leading_dims(profiles: xr.Dataset) -> tuple[str, ...]:
    """Return the dims of the profiles without ``sample``, which is made the last."""
    dims = [str(dim) for dim in profiles["level"].dims]
    if _LAST_DIM not in dims:
        raise InputError(f"the level has dims {', '.join(dims) or 'none'} and no dim 'sample'")
    return tuple(dim for dim in dims if dim != _LAST_DIM)


def kernel_samples(profiles: xr.Dataset, times: str, selection: np.ndarray | None = None) -> Samples:
    """Return the variables of profiles as tables of (profile, sample), checked.

    Raises
    ------
    InputError
        A sample without time, times that do not increase, or a level that is none; names patient and sample.
    """
    from ..kernels.nca.codes import Samples
    from ..kernels.nca.samples import first_fault

    time_name = time_variable(profiles, times)
    dims = (*leading_dims(profiles), _LAST_DIM)
    width = profiles.sizes[_LAST_DIM]
    count = int(np.prod([profiles.sizes[dim] for dim in dims[:-1]]))

    def table(name: str, dtype: type, empty: float) -> np.ndarray:
        if name not in profiles:
            return np.full((1, 1), empty, dtype=dtype)
        # Contiguous and writeable: another kind of array would compile the kernels anew.
        values = np.require(profiles[name].transpose(*dims).values, dtype, ["C_CONTIGUOUS", "WRITEABLE"])
        return values.reshape(count, width)

    def errors(name: str) -> np.ndarray:
        values = table(name, np.float64, np.nan)
        return values if _any_finite(values) else np.full((1, 1), np.nan)

    for name, known in (("status", Status), ("excluded", Excluded)):
        if name in profiles:
            _check_codes(profiles, name, max(known))
    se_plate = errors("se_plate")
    samples = Samples(
        time=table(time_name, np.float64, np.nan),
        level=table("level", np.float64, np.nan),
        status=table("status", np.int8, -1),
        excluded=table("excluded", np.int8, 0),
        lod=table("lod", np.float64, np.nan),
        lloq=table("lloq", np.float64, np.nan),
        uloq=table("uloq", np.float64, np.nan),
        se_well=errors("se_well"),
        se_plate=se_plate,
        plate=_plates(profiles, dims, se_plate),
        selection=np.zeros((1, 1), dtype=np.int8) if selection is None else selection,
        state_of=state_table(),
    )
    kind, profile, sample = first_fault(samples)
    if kind:
        _refuse(profiles, samples, times, int(kind), int(profile), int(sample))
    return samples


def _check_codes(profiles: xr.Dataset, name: str, largest: int) -> None:
    """Refuse codes that are none: a kernel would read past its tables, and a cast make a code of what is missing."""
    values = profiles[name].values
    if values.dtype.kind in "iu":
        if not values.size or (values.min() >= -1 and values.max() <= largest):
            return
        wrong = values[(values < -1) | (values > largest)][0]
    elif values.dtype.kind == "f" and np.isin(values, np.arange(-1, largest + 1)).all():
        return
    else:
        wrong = values.ravel()[0] if values.dtype.kind not in "fb" else "missing or a fraction, as after a reindex"
    raise InputError(
        f"a code of '{name}' is {wrong}: its codes are whole numbers from -1 (missing) to {largest}, see flag_meanings"
    )


def has_errors(samples: Samples) -> bool:
    """Whether any sample has a standard error of the assay."""
    return (
        samples.se_well.shape != (1, 1)
        or samples.se_plate.shape != (1, 1)
        or _any_finite(samples.se_well)
        or _any_finite(samples.se_plate)
    )


def _any_finite(table: np.ndarray) -> bool:
    # Some rows at a time stay in the processor's cache, and the first number ends the search.
    return any(np.isfinite(table[row : row + 2048]).any() for row in range(0, len(table), 2048))


def time_variable(profiles: xr.Dataset, times: str) -> str:
    """Return the name of the variable of times to use."""
    if times not in ("actual", "nominal"):
        raise InputError(f"unknown times '{times}': use 'actual' or 'nominal'")
    name = "time" if times == "actual" else "nominal_time"
    if name not in profiles:
        raise InputError(f"the profiles have no variable '{name}'")
    return name


def state_table() -> np.ndarray:
    """Return what may be done with a sample, by its status plus one."""
    from ..kernels.nca import codes

    states = np.full(len(Status), codes.UNUSABLE, dtype=np.int8)
    for status in BLQ_STATUSES:
        states[status + 1] = codes.BLQ
    states[Status.quantified + 1] = codes.QUANTIFIED
    states[Status.above_uloq + 1] = codes.ABOVE
    return states


def _plates(profiles: xr.Dataset, dims: tuple[str, ...], se_plate: np.ndarray) -> np.ndarray:
    """Return plates as numbers, -1 where unknown; only where a shared error makes them matter."""
    if "plate" not in profiles or not _any_finite(se_plate):
        return np.full((1, 1), -1, dtype=np.int64)
    words = profiles["plate"].transpose(*dims).values
    _, codes = np.unique(words.astype(str), return_inverse=True)
    codes = np.where(words == "", -1, codes.reshape(words.shape))
    return np.ascontiguousarray(codes.astype(np.int64).reshape(-1, max(profiles.sizes[_LAST_DIM], 1)))


def place_of(profiles: xr.Dataset, profile: int) -> str:
    """Return a profile's patient, and its series where there are several, in words."""
    lead = leading_dims(profiles)
    at = np.unravel_index(profile, [profiles.sizes[dim] for dim in lead])
    words = []
    for dim, position in zip(lead, at, strict=True):
        if dim == "patient" or profiles.sizes[dim] > 1:
            label = profiles[dim].values[position] if dim in profiles.coords else position + 1
            words.append(f"{dim} '{label}'")
    return ", ".join(words)


def _refuse(profiles: xr.Dataset, samples: Samples, times: str, kind: int, profile: int, sample: int) -> None:
    where = f"{place_of(profiles, profile)}, sample {sample + 1}"
    if "sample_id" in profiles:
        dims = (*leading_dims(profiles), _LAST_DIM)
        name = profiles["sample_id"].transpose(*dims).values.reshape(-1, profiles.sizes[_LAST_DIM])[profile, sample]
        where += f" ('{name}')" if name else ""
    value = float(samples.time[profile, sample])
    if kind == 1:
        other = "nominal" if times == "actual" else "actual"
        raise InputError(
            f"{where} has no {times} time: fill it in (from a date of collection cohort computes it), exclude the "
            f"sample, or use times='{other}'"
        )
    if kind == 2:
        raise InputError(
            f"{where}: time {value:g} day is not later than the one before it: sort the samples, and give one of two "
            "at the same time another time or leave it out"
        )
    level = float(samples.level[profile, sample])
    raise InputError(f"{where} is quantified but its level is {level:g}: give a level of 0 or more, or another status")
