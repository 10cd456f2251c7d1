"""Profiles that do not fit into memory: dask arrays, chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from ..errors import InputError
from .inputs import leading_dims

if TYPE_CHECKING:
    from .analysis import Settings

# What one profile's samples are known by; all a chunk needs.
_VARIABLES = (
    "time", "nominal_time", "level", "status", "excluded", "lod", "lloq", "uloq", "se_well", "se_plate", "plate",
    "sample_id",
)  # fmt: skip


def nca_by_chunks(
    profiles: xr.Dataset,
    infusions: xr.Dataset | None,
    doses: xr.DataArray | None,
    settings: Settings,
    source: str,
    threads: int,
) -> xr.Dataset:
    """Analyse profiles of dask arrays; the result holds dask arrays with the same chunks.

    Only the leading dims may have several chunks; samples of a profile are always together. The values are those of
    the same profiles in memory.

    Raises
    ------
    InputError
        Infusions one by one.
    """
    import dask.array

    if settings.infusions == "each":
        raise InputError("infusions='each' needs profiles in memory: call .load() on the profiles first")
    lead = leading_dims(profiles)
    kept = profiles[[name for name in _VARIABLES if name in profiles]]
    kept = kept.chunk(dict.fromkeys([dim for dim in (*lead, "sample") if dim != "patient"], -1))
    kept = kept.unify_chunks()
    if doses is not None:
        doses = doses.chunk(patient=kept.chunksizes["patient"])
    first = None if doses is None else doses.isel(patient=slice(0, 1))
    one = _analyse_block(kept.isel(patient=slice(0, 1)), infusions, first, settings, source, threads)
    size = profiles.sizes["patient"]

    def stretched(array: xr.DataArray) -> xr.DataArray:
        if "patient" not in array.dims:
            return array
        at = array.dims.index("patient")
        chunks = tuple(
            kept.chunksizes["patient"] if position == at else array.shape[position] for position in range(array.ndim)
        )
        shape = tuple(size if position == at else n for position, n in enumerate(array.shape))
        lazy = dask.array.zeros(shape, dtype=array.dtype, chunks=chunks)
        return xr.DataArray(lazy, dims=array.dims, attrs=array.attrs)

    template = xr.Dataset(
        {str(name): stretched(array) for name, array in one.data_vars.items()},
        {name: coord for name, coord in one.coords.items() if "patient" not in coord.dims}
        | {str(name): coord for name, coord in kept.coords.items() if "patient" in coord.dims},
        one.attrs,
    )
    return xr.map_blocks(
        _analyse_block,
        kept,
        args=[infusions, doses, settings, source, threads],
        template=template,
    )


def _analyse_block(
    block: xr.Dataset,
    infusions: xr.Dataset | None,
    doses: xr.DataArray | None,
    settings: Settings,
    source: str,
    threads: int,
) -> xr.Dataset:
    from .analysis import analyse

    return analyse(block.load(), infusions, None if doses is None else doses.load(), settings, source, threads)
