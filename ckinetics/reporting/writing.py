"""The report: checks that all results belong to the cohort, and writes a page or a workbook."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ..errors import InputError
from ..jobs import atomic_path
from ..provenance import now, settings_json, sha256_file, versions
from .core.blocks import Code, Definitions, Paragraph, Section
from .core.page import render_page
from .core.results import Results, check_results, settings_of
from .sections.assay import assay_section
from .sections.conventions import conventions_section, inputs_of
from .sections.exposure import exposure_section
from .sections.fits import fit_section
from .sections.flags import Flags, flags_section
from .sections.nca import nca_section
from .sections.profiles import individuals_section, profiles_section, summary_section
from .tables.sheets import Sheet, all_sheets
from .tables.workbook import write_workbook


def report(
    cohort: xr.DataTree,
    /,
    *results: xr.Dataset | xr.DataTree,
    path: str | Path,
    title: str | None = None,
    inputs: Mapping[str, str] | Sequence[str | Path] | None = None,
    flags: Flags | None = None,
    individuals: bool = True,
) -> Path:
    """Write a report of a study: one self-contained HTML page, or a workbook.

    Parameters
    ----------
    cohort : DataTree
        The cohort.
    *results : Dataset or DataTree
        From `nca`, `fit`, `exposure_response` and `exposure_correlation`, computed from this cohort.
    path : str or Path
        Where to; the suffix says what: ``.html`` for a page (figures, tables and styles inside; no script, no
        link to anything outside), ``.xlsx`` for a workbook (numbers in full, a row of units under each
        header, a sheet of provenance). An older file is replaced in one step, and stays whole on failure.
    title : str, optional
        Name of the study; default is the cohort's own title.
    inputs : mapping of str to str, or sequence of paths, optional
        Input files: names and SHA-256, or paths to be hashed. Those that the cohort itself records (its
        attribute ``inputs``, the files of its wells) are added.
    flags : DataFrame, sequence of mapping, or sequence of str, optional
        Further flags to show, such as files that could not be read.
    individuals : bool
        Whether the page shows each patient's profile; thousands of patients take minutes and a large page.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        Another suffix, no cohort, or a result of no known kind.
    StaleResultError
        A result that was computed from other data; it is named. A result of arrays that carry no hash of a
        cohort is taken, and the page says so.

    Examples
    --------
    >>> from ckinetics.cohorts import cohort, kinetics_from_arrays
    >>> study = cohort(kinetics_from_arrays([0, 7, 28], [[0, 1e4, 90]], lloq=50, unit="copies/ug"))
    >>> from ckinetics.noncompartmental import nca
    >>> import pathlib, tempfile
    >>> report(study, nca(study), path=pathlib.Path(tempfile.mkdtemp()) / "report.html").name
    'report.html'
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".html", ".xlsx"):
        raise InputError(
            f"a report is written as .html or .xlsx, not '{target.suffix}': change the end of '{target.name}'"
        )
    if not isinstance(cohort, xr.DataTree) or "kinetics" not in cohort.children:
        raise InputError("report expects a cohort with a group 'kinetics': build one with cohort")
    checked = check_results(cohort, results)
    name = title or str(cohort.attrs.get("title", "")) or "Cellular kinetics"
    files = inputs_of(cohort, _hashes(inputs))
    if suffix == ".html":
        text = _page(cohort, checked, name, files, flags, individuals=individuals)
        with atomic_path(target) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    else:
        sentences = [block.text for block in summary_section(cohort).blocks]
        sheets = all_sheets(cohort, checked, name, files, _flag_sheets(cohort, checked, flags), sentences)
        with atomic_path(target) as part:
            write_workbook(part, sheets, title=name)
    return target


def _hashes(inputs: Mapping[str, str] | Sequence[str | Path] | None) -> dict[str, str]:
    if inputs is None or isinstance(inputs, Mapping):
        return {str(name): str(digest) for name, digest in (inputs or {}).items()}
    if isinstance(inputs, (str, Path)):
        inputs = [inputs]
    out: dict[str, str] = {}
    for one in inputs:
        path = Path(one)
        if not path.is_file():
            raise InputError(f"the input file '{path.name}' is not there: correct inputs=", file=path)
        out[path.name] = sha256_file(path)
    return out


def _page(
    cohort: xr.DataTree,
    results: Results,
    title: str,
    inputs: Sequence[tuple[str, str]],
    flags: Flags | None,
    *,
    individuals: bool,
) -> str:
    sections = [
        conventions_section(cohort, results, title, inputs),
        summary_section(cohort),
        profiles_section(cohort),
        assay_section(cohort),
        nca_section(cohort, results),
        individuals_section(cohort, results) if individuals else None,
        fit_section(cohort, results),
        exposure_section(cohort, results),
        flags_section(cohort, results, flags),
        _provenance_section(results),
    ]
    shown = [section for section in sections if section is not None]
    return render_page(title, shown, made=now(), version=versions()["ckinetics"])


def _provenance_section(results: Results) -> Section:
    section = Section("provenance", "Provenance")
    section.blocks.append(
        Paragraph("Results were computed from the cohort whose content has this SHA-256, unless it is said otherwise.")
    )
    section.blocks.append(Definitions([("Cohort", results.cohort_hash)]))
    for at, result in enumerate(results.all, start=1):
        attrs: dict[str, Any] = {
            str(key): value
            for key, value in result.attrs.items()
            if key not in ("model_text", "rules", "settings") and isinstance(value, (str, int, float))
        }
        plain = json.loads(settings_json(attrs | {"settings": _set(settings_of(result))}))
        text = json.dumps(plain, indent=1, ensure_ascii=False)
        section.blocks.append(Code(f"Result {at}: {result.attrs.get('title', '')}", text))
    return section


def _set(settings: Any) -> Any:
    """Return settings without what was recorded as not given (the word "nan")."""
    if isinstance(settings, Mapping):
        return {name: _set(value) for name, value in settings.items() if value != "nan"}
    return settings


def _flag_sheets(cohort: xr.DataTree, results: Results, flags: Flags | None) -> list[Sheet]:
    if flags is None:
        return []
    section = flags_section(cohort, results, flags)
    last = section.blocks[-1]
    if not getattr(last, "caption", "").startswith("Further flags"):
        return []
    return [Sheet("Flags", pd.DataFrame(list(last.rows), columns=list(last.columns)))]
