"""RDML 1.0 to 1.4: an archive, one member of which is an XML document with the root element ``rdml``.

- A row is the ordinal of the ``data`` element (one reaction and target) in the document, counted from 1; the
  sheet is the archive's member. Each run is a run of its own; its name is used where there are several.
- Wells are the reactions' ids: a position, or a number counted along the rows of the run's plate.
- ``cq`` is -1 (or NaN) where none is available. In a run in which other reactions have a Cq the analysis was
  made and found none: "undetermined". In a run without any Cq, and where the element is absent, it is missing.
- A Cq at the last cycle that was recorded is what some software writes for a curve that never crossed its
  threshold; it is undetermined, and flagged.
- The unit ``cop`` is copies per µL: nominal copies are the quantity times the reaction's volume, where the
  document states it. The unit ``other`` names none, and `quantity_unit` applies. In every other case a
  standard has no nominal copies, and a flag says why; the sample sheet can give them.
- A quantity that the software calculated for a sample is on the scale of the standards. ``Ncopy`` comes from no
  standard curve, and is left out.

Experimenters and laboratories are not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from ...errors import FileFormatError, InputError
from ...schema import CqStatus, YesNo
from ..cells import cq_of, fold, number_of, well_of
from ..sources import Source
from .rdml_document import LAST_CYCLE, open_document
from .table import Family, Header, Options, Reading, quantity_of, role_of

TASKS = {
    "unkn": "unknown",
    "std": "standard",
    "ntc": "ntc",
    "ntp": "ntc",  # the target is not in the sample: a signal is as wrong as in a well without template
    "nac": "nac",
    "nrt": "nac",  # without reverse transcriptase nothing can be amplified
    "pos": "positive",
}


def read(family: Family, source: Source, header: Header, options: Options) -> Reading:
    """Read the wells of all runs; the header is not used, an RDML document has none."""
    member, document = open_document(source)
    version = document.get("version", "")
    if version and not version.startswith("1."):
        raise FileFormatError(f"RDML version {version} is unknown: export it as RDML 1.0 to 1.4", file=source.path)
    samples = {sample.get("id", ""): sample for sample in document.findall("sample")}
    dyes = {target.get("id", ""): _dye(target) for target in document.findall("target")}
    units = {_text(sample, "quantity/unit") for sample in samples.values() if _text(sample, "type") == "std"}
    scale = units.pop() if len(units) == 1 else None
    names = _run_names(source, document)
    analysed = {run: any(not _has_no_cq(_text(data, "cq")) for data in run.iter("data")) for run in names}
    rows: list[dict[str, Any]] = []
    for number, (run, reaction, data) in enumerate(_measured(names), start=1):
        entry = _Entry(run, reaction, data, samples, dyes, scale, analysed[run])
        try:
            well = entry.well(family, options)
        except ValueError as err:
            message = err.message if isinstance(err, InputError) else str(err)
            raise FileFormatError(" ".join(message.split()), file=source.path, sheet=member, row=number) from None
        about = {"file": source.name, "file_sha256": source.sha256, "sheet": member, "row": float(number)}
        rows.append(about | well | {"run": names[run]})
    if not rows:
        partitions = next(document.iter("partitions"), None) is not None
        raise FileFormatError(
            "the document holds partitions of digital PCR, which are not read from RDML: export them as a table"
            if partitions
            else "no reaction of the document has data: export it with the results of a run",
            file=source.path,
            sheet=member,
        )
    software = ", ".join(dict.fromkeys([f"RDML {version}".strip(), *filter(None, map(_software, names))]))
    return Reading(rows, software, _metadata(document))


def _metadata(document: Element) -> dict[str, str]:
    """Return what the document says of itself and of its runs."""
    paths = {
        "dateMade": "dateMade",
        "dateUpdated": "dateUpdated",
        "publisher": "id/publisher",
        "serialNumber": "id/serialNumber",
        "experiment description": "experiment/description",
        "run description": "experiment/run/description",
        "instrument": "experiment/run/instrument",
        "backgroundDeterminationMethod": "experiment/run/backgroundDeterminationMethod",
        "cqDetectionMethod": "experiment/run/cqDetectionMethod",
        "runDate": "experiment/run/runDate",
    }
    found = {name: [one.text or "" for one in document.iterfind(path)] for name, path in paths.items()}
    found |= {name: [one.get("id", "") for one in document.iter(name)] for name in ("experiment", "run")}
    once = {name: dict.fromkeys(" ".join(text.split()) for text in texts) for name, texts in found.items()}
    joined = {name: ", ".join(filter(None, texts)) for name, texts in once.items()}
    return {name: text for name, text in joined.items() if text}


def _software(run: Element) -> str:
    return f"{_text(run, 'dataCollectionSoftware/name')} {_text(run, 'dataCollectionSoftware/version')}".strip()


def _measured(runs: Iterable[Element]) -> Iterator[tuple[Element, Element, Element]]:
    for run in runs:
        for reaction in run.findall("react"):
            for data in reaction.findall("data"):
                yield run, reaction, data


def _run_names(source: Source, document: Element) -> dict[Element, str]:
    """Return each run's name; "" where the file has one run, which is then named as the file is."""
    found = [(experiment, run) for experiment in document.iter("experiment") for run in experiment.findall("run")]
    if len(found) < 2:
        return {run: "" for _, run in found}
    ids = [run.get("id", "") for _, run in found]
    if len(set(ids)) < len(ids):
        ids = [f"{experiment.get('id', '')} {run.get('id', '')}" for experiment, run in found]
    if len(set(ids)) < len(ids):
        raise FileFormatError("two runs have one id: give each run its own name", file=source.path)
    return {run: f"{source.path.stem} {name}" for (_, run), name in zip(found, ids, strict=True)}


@dataclass(frozen=True)
class _Entry:
    """One reaction and target of a run, and what the document says of samples and dyes elsewhere."""

    run: Element
    reaction: Element
    data: Element
    samples: dict[str, Element]
    dyes: dict[str, str]
    scale: str | None  # unit of all standards
    analysed: bool  # whether any reaction of the run has a Cq

    def well(self, family: Family, options: Options) -> dict[str, Any]:
        target = _id(self.data, "tar")
        name = _id(self.reaction, "sample")
        sample = self.samples.get(name)
        if sample is None:
            raise ValueError(f"sample '{name}' of reaction '{self.reaction.get('id', '')}' is not in the document")
        kind = _of_target(sample, "type", target)
        role = role_of("" if kind is None else (kind.text or ""), family, options)
        cq, status, flags = self._cq(options)
        quantities, more = self._quantity(sample, target, role, options)
        excluded = self.data.find("excl")
        if excluded is not None:
            flags.append(f"excluded {excluded.text or ''}".strip())
        return {
            "well_name": self._well_name(),
            "sample": name,
            "target": target,
            "role": role,
            "dye": self.dyes.get(target, ""),
            "cq": cq,
            "cq_status": status,
            # The element is there only where the reaction was excluded, whatever its text.
            "omit": YesNo.no if excluded is None else YesNo.yes,
            "vendor_flags": "; ".join(flags + more),
            **quantities,
        }

    def _well_name(self) -> str:
        name, layout = self.reaction.get("id", ""), self.run.find("pcrFormat")
        if layout is None or not re.fullmatch(r"\d{1,5}", name):
            return well_of(name)
        columns, rows = _text(layout, "columns"), _text(layout, "rows")
        if not columns:  # RDML 1.0 has the plate in words: "96-well plate; A1-H12"
            size = re.match(r"(\d{1,5})-well", layout.text or "")
            return well_of(name, n_wells=int(size[1]) if size else 0)
        labels = (_text(layout, "rowLabel"), _text(layout, "columnLabel"))
        if labels not in (("ABC", "123"), ("", "")):
            raise ValueError(f"wells labelled '{labels[0]}' and '{labels[1]}' are no positions such as A1")
        if not (re.fullmatch(r"\d\d?", rows) and re.fullmatch(r"[1-9]\d?", columns)):
            raise ValueError(f"a plate of '{rows}' rows and '{columns}' columns is not known")
        n_rows, n_columns = int(rows), int(columns)
        if not (n_rows <= 52 and 1 <= int(name) <= n_rows * n_columns):
            raise ValueError(f"reaction {name} is not on a plate of {rows} rows and {columns} columns")
        row, column = divmod(int(name) - 1, n_columns)
        return well_of(f"{'A' * (row // 26)}{chr(65 + row % 26)}{column + 1}")

    def _cq(self, options: Options) -> tuple[float, CqStatus, list[str]]:
        text = _text(self.data, "cq")
        if not text or fold(text) in options.undetermined:
            return *cq_of(text, undetermined=options.undetermined), []
        if _has_no_cq(text):
            return math.nan, CqStatus.undetermined if self.analysed else CqStatus.missing, []
        cq, status = cq_of(text)
        last = float(self.data.get(LAST_CYCLE, "inf"))
        if cq >= last:
            return math.nan, CqStatus.undetermined, [f"Cq {cq:g} is the last of {last:g} cycles"]
        return cq, status, []

    def _quantity(
        self, sample: Element, target: str, role: str, options: Options
    ) -> tuple[dict[str, float], list[str]]:
        nominal = role in ("standard", "qc")
        element = _of_target(sample, "quantity", target) if nominal else self.data.find("quantity")
        if element is None:
            return {}, []
        value, unit = number_of(_text(element, "value")), _text(element, "unit")
        if not nominal and self.scale is not None:
            unit = self.scale
        if unit in ("other", ""):
            return quantity_of(value, role, unit=options.quantity_unit), []
        volume = number_of(_text(self.reaction, "vol")) if unit == "cop" else math.nan
        if volume > 0:
            return quantity_of(value * volume, role, unit="copies/well"), []
        why = "copies/uL, and the volume is not stated" if unit == "cop" else f"'{unit}', not in copies"
        return {}, [f"quantity {value:g} is in {why}"]


def _has_no_cq(text: str) -> bool:
    return text in ("", "-1", "-1.0") or text.casefold() == "nan"


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _id(element: Element, tag: str) -> str:
    child = element.find(tag)
    return "" if child is None else child.get("id", "")


def _dye(target: Element) -> str:
    return _id(target, "dyeId") or _text(target, "dyeId")  # RDML 1.0 has it as text


def _of_target(sample: Element, tag: str, target: str) -> Element | None:
    """Return the child that is said of this target, or else the one that is said of all."""
    found = {child.get("targetId", ""): child for child in sample.findall(tag)}
    return found.get(target, found.get(""))


FAMILY = Family(name="rdml", title="RDML", columns={}, required=(), tasks=TASKS, read=read)
