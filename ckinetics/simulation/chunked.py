"""Cohorts that do not fit into memory: each chunk is simulated from its range of patients when it is asked for."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..errors import InputError
from .patients import Plan, run


def lazy_arrays(plan: Plan, size: int, threads: int) -> dict[str, Any]:
    """Return the result's arrays as dask arrays with `size` patients a chunk.

    Raises
    ------
    InputError
        dask is not installed.
    """
    try:
        import dask
        import dask.array
    except ImportError:
        raise InputError("chunks needs dask: install ckinetics[scale], or leave chunks out") from None
    # One patient now: a fault of the options shows here, and so do shapes and dtypes.
    like = _chunk(plan.part(0, 1), 1)
    edges = [*range(0, plan.count, size), plan.count]
    simulated = dask.delayed(_chunk, pure=False)
    parts = [(last - first, simulated(plan.part(first, last), threads)) for first, last in itertools.pairwise(edges)]
    return {
        name: dask.array.concatenate(
            [dask.array.from_delayed(part[name], (count, *array.shape[1:]), dtype=array.dtype) for count, part in parts]
        )
        for name, array in like.items()
    }


def _chunk(plan: Plan, threads: int) -> dict[str, np.ndarray]:
    from .profiles import arrays_of

    return arrays_of(plan, run(plan, threads))
