"""Profiles that do not fit into memory: dask arrays, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr

from .inputs import leading_dims

# An analysis of profiles and doses in memory, its other options given.
Analysis = Callable[[xr.Dataset, xr.DataArray | None], xr.Dataset]

# What one profile's samples are known by; all a chunk needs.
_VARIABLES = (
    "time", "nominal_time", "level", "status", "excluded", "lod", "lloq", "uloq", "se_well", "se_plate", "plate",
    "sample_id",
)  # fmt: skip


def nca_by_chunks(profiles: xr.Dataset, doses: xr.DataArray | None, analysis: Analysis) -> xr.Dataset:
    """Analyse profiles of dask arrays; the result holds dask arrays with the same chunks.

    Only the leading dims may have several chunks; samples of a profile are always together. The values are those of
    the same profiles in memory.
    """
    import dask.array

    lead = leading_dims(profiles)
    kept = profiles[[name for name in _VARIABLES if name in profiles]]
    kept = kept.chunk(dict.fromkeys([dim for dim in (*lead, "sample") if dim != "patient"], -1))
    kept = kept.unify_chunks()
    if doses is not None:
        doses = doses.chunk(patient=kept.chunksizes["patient"])
    first = None if doses is None else doses.isel(patient=slice(0, 1))
    one = _analyse_block(kept.isel(patient=slice(0, 1)), first, analysis)
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
    return xr.map_blocks(_analyse_block, kept, args=[doses, analysis], template=template)


def _analyse_block(block: xr.Dataset, doses: xr.DataArray | None, analysis: Analysis) -> xr.Dataset:
    return analysis(block.load(), None if doses is None else doses.load())
