"""The pages of a batch: one plate run at a time, under a name that cannot leave its folder."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import xarray as xr

FOLDER = "plates"
_LONGEST = 100
_HASH = 12
# Names that Windows keeps for devices.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def page_names(run_ids: Iterable[str]) -> dict[str, str]:
    """Return the name of the page of each run: the run's own where any file system takes it, else with a hash.

    Two runs never have one name, not even where a file system does not tell capitals from small letters.

    Examples
    --------
    >>> page_names(["plate_01", "../../etc/passwd"])
    {'plate_01': 'plates/plate_01.html', '../../etc/passwd': 'plates/etc-passwd-3754d6cb3a38.html'}
    """
    runs = list(dict.fromkeys(run_ids))
    folded = Counter(run.casefold() for run in runs)
    return {run: f"{FOLDER}/{_name(run, alone=folded[run.casefold()] == 1)}.html" for run in runs}


def _name(run: str, *, alone: bool) -> str:
    safe = re.sub(r"[^A-Za-z0-9._ -]+", "-", run).strip(". -")[:_LONGEST].rstrip(". ")
    # A run that looks as if it had a hash gets one too: else it could be named like another's page.
    hashed = re.search(rf"-[0-9a-f]{{{_HASH}}}$", run.casefold())
    if alone and safe and safe == run and not hashed and not _DEVICES.fullmatch(run):
        return run
    digest = hashlib.sha256(run.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{safe or 'run'}-{digest}"


def split_runs(tree: xr.DataTree) -> Iterator[tuple[str, xr.DataTree]]:
    """Yield each run of a result of `quantify` with the rows of its own, in the order of the wells."""
    groups = {
        name: (node.to_dataset(inherit=False), dim)
        for name, dim in (("wells", "well"), ("curves", "curve"), ("verdicts", "verdict"), ("results", "result"))
        if (node := tree.children[name]) is not None
    }
    rows = {name: _rows(dataset["run_id"].values) for name, (dataset, _) in groups.items()}
    wells = groups["wells"][0]
    export_of = {digest: at for at, digest in reversed(list(enumerate(wells["file_hash"].values.tolist())))}
    digests = wells["file_sha256"].values
    root = xr.Dataset(attrs=tree.attrs)
    for run_id, places in rows["wells"].items():
        parts: dict[str, xr.Dataset] = {"/": root}
        for name, (dataset, dim) in groups.items():
            where = {dim: rows[name].get(run_id, np.array([], dtype=np.intp))}
            if name == "wells":
                where |= {"export": np.array([export_of[digests[places[0]]]]), "fault": np.array([], dtype=np.intp)}
            parts[name] = dataset.isel(where)
        yield run_id, xr.DataTree.from_dict(parts)


def shown_content(part: xr.DataTree) -> xr.DataTree:
    """Return one run without the attributes that change with any other run: what its page shows is all in it."""
    nodes = {name: node.to_dataset(inherit=False) for name, node in part.children.items()}
    for dataset in nodes.values():
        dataset.attrs.pop("cohort_hash", None)
    shown = {"settings": str(part.attrs.get("settings", ""))}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=shown), **nodes})


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for cycles of objects less often: a figure makes tens of thousands, and each is one page long.

    By default the collector takes a quarter of the time of a page.
    """
    before = gc.get_threshold()
    gc.set_threshold(200_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _rows(run_ids: np.ndarray) -> dict[str, np.ndarray]:
    found: dict[str, list[int]] = {}
    for at, run_id in enumerate(run_ids.tolist()):
        found.setdefault(run_id, []).append(at)
    return {run_id: np.array(places) for run_id, places in found.items()}
