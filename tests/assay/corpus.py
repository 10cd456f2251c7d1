"""Builders of exports of each family; everything is made when it is needed."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from ckinetics.assay import read_plates
from ckinetics.errors import CkineticsError, one_line

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Export:
    """An export as rows: what stands above the header, the header and the wells."""

    family: str
    header: Sequence[str]
    rows: Rows
    above: Rows = ()
    sheet: str = ""  # a workbook has one
    delimiter: str = ","
    name_column: str = "Sample"

    def write(self, folder: Path, *, encoding: str = "utf-8", line_end: str = "\n", stem: str = "plate") -> Path:
        """Write it as its software does, or in another encoding."""
        lines = [*self.above, self.header, *self.rows]
        if self.sheet:
            return workbook(folder / f"{stem}.xlsx", {self.sheet: lines})
        stream = io.StringIO()
        csv.writer(stream, delimiter=self.delimiter, lineterminator=line_end).writerows(lines)
        path = folder / f"{stem}.csv"
        path.write_bytes(stream.getvalue().encode(encoding))
        return path

    def with_columns(self, order: Sequence[int]) -> Export:
        return replace(
            self,
            header=[self.header[at] for at in order],
            rows=[[row[at] for at in order] for row in self.rows],
        )

    def with_rows(self, order: Sequence[int]) -> Export:
        return replace(self, rows=[self.rows[at] for at in order])

    def with_cell(self, row: int, column: int, cell: Any) -> Export:
        rows = [list(one) for one in self.rows]
        rows[row][column] = cell
        return replace(self, rows=rows)

    def with_names(self, name: str) -> Export:
        at = list(self.header).index(self.name_column)
        return replace(self, rows=[[*row[:at], name, *row[at + 1 :]] for row in self.rows])


D_AND_A = ["Well", "Well Position", "Omit", "Sample", "Target", "Task", "Reporter", "Cq", "Quantity", "Amp Status"]
D_AND_A_ROWS = [
    [1, "A1", False, "Std 1", "CAR", "STANDARD", "FAM", 21.5, 1e5, "AMP"],
    [2, "A2", False, "Std 2", "CAR", "STANDARD", "FAM", 24.8, 1e4, "AMP"],
    [3, "A3", False, "P1 day 7", "CAR", "UNKNOWN", "FAM", 26.25, 3500.5, "AMP"],
    [4, "A4", True, "P1 day 7", "CAR", "UNKNOWN", "FAM", "UNDETERMINED", "", "NO_AMP"],
    [5, "A5", False, "water", "CAR", "NTC", "FAM", "UNDETERMINED", "", "NO_AMP"],
]
TOP = [["Block Type", "96-Well 0.2-mL Block"], ["Instrument Type", "QuantStudio 6"], []]

EXPORTS: dict[str, Export] = {
    "tidy": Export(
        "tidy",
        ["well", "sample", "target", "role", "cq", "quantity", "omit"],
        [
            ["A1", "Std 1", "CAR", "standard", "21.5", "100000", "false"],
            ["A2", "P1 day 7", "CAR", "unknown", "26.25", "", "false"],
            ["A3", "P2 day 7", "CAR", "unknown", "Undetermined", "", "true"],
            ["A4", "water", "CAR", "ntc", "Undetermined", "", "false"],
        ],
        name_column="sample",
    ),
    "tidy_digital": Export(
        "tidy",
        ["well", "sample", "target", "role", "n_partitions", "n_positive", "partition_nl", "reaction_ul"],
        [
            ["A1", "P1 day 7", "CAR", "unknown", "15000", "300", "0.85", "20"],
            ["A2", "water", "CAR", "ntc", "15002", "0", "0.85", "20"],
        ],
        name_column="sample",
    ),
    "design_and_analysis": Export("design_and_analysis", D_AND_A, D_AND_A_ROWS, TOP, sheet="Results"),
    "quantstudio_text": Export(
        "design_and_analysis",
        ["Well", "Well Position", "Omit", "Sample Name", "Target Name", "Task", "Reporter", "CT", "Quantity"],
        [[str(cell) for cell in row[:-1]] for row in D_AND_A_ROWS],
        [["* Block Type = 96-Well 0.2-mL Block"], ["* Instrument Type = ViiA 7"], [], ["[Results]"]],
        delimiter="\t",
        name_column="Sample Name",
    ),
    "cfx": Export(
        "cfx",
        ["", "Well", "Fluor", "Target", "Content", "Sample", "Cq", "Starting Quantity (SQ)", "Set Point"],
        [
            ["", "A01", "FAM", "CAR", "Std-1", "S", "20.1", "1.00000E+06", "60"],
            ["", "A02", "FAM", "CAR", "Unkn-01", "P1", "25.5", "2.5E+04", "60"],
            ["", "A03", "FAM", "CAR", "Unkn-12", "P2", "NaN", "NaN", "60"],
            ["", "A04", "HEX", "REF", "NTC", "W", "NaN", "NaN", "60"],
        ],
    ),
    "bio_rad_tables": Export(
        "bio_rad_tables",
        ["Well", "Fluor", "Target", "Content", "Sample", "SQ"],
        [["A01", "FAM", "CAR", "Std", "S1", 1e5], ["A02", "FAM", "CAR", "Unkn", "P1", ""]],
        sheet="description",
    ),
    "lightcycler480": Export(
        "lightcycler480",
        ["Include", "Color", "Pos", "Name", "Cp", "Concentration", "Standard", "Status"],
        [
            ["True", "255", "A1", "S1", "25.15", "1.20E3", "0", ""],
            ["True", "65280", "A2", "S2", "", "", "0", ""],
            ["False", "255", "A3", "S3", "31.20", "", "0", ">"],
            ["True", "255", "A4", "S4", "20.10", "9.12E4", "1.00E5", ""],
        ],
        [["Experiment: run 7  Selected Filter: FAM (465-510)"]],
        delimiter="\t",
        name_column="Name",
    ),
    "quantasoft": Export(
        "quantasoft",
        ["Well", "Sample", "TargetType", "Target", "Status", "Concentration", "Positives", "Negatives",
         "AcceptedDroplets"],
        [
            ["A01", "P1", "Ch1Unknown", "CAR", "OK", "40.9", "637", "18000", "18637"],
            ["A01", "P1", "Ch2Reference", "RPPH1", "OK", "1000", "10000", "7464", "17464"],
            ["A02", "water", "Ch1NTC", "CAR", "CHECK", "No Call", "0", "15000", "15000"],
        ],
    ),
    "qiacuity": Export(
        "qiacuity",
        ["Plate name", "Well", "Sample/NTC/Control", "Type", "Target", "Conc. [cp/µL] (dPCR reaction)",
         "Partitions (Valid)", "Partitions (Positive)"],
        [
            ["one", "A1", "P1", "Sample", "CAR", "4.078", "25227", "76"],
            ["one", "A2", "P2", "Sample", "CAR", "0.000", "25300", "0"],
        ],
        name_column="Sample/NTC/Control",
    ),
    "absolute_q": Export(
        "absolute_q",
        ["Run", "Group", "Name", "Well", "Total", "Dye", "Target", "Conc. cp/uL", "Positives"],
        [
            ["r", "G", "S1", "A1", "20449", "VIC", "T", "3.85", "34"],
            ["r", "G", "S2", "A2", "20440", "VIC", "T", "0", "0"],
        ],
        name_column="Name",
    ),
}  # fmt: skip

RDML = (
    '<rdml xmlns="http://www.rdml.org" version="1.2"><sample id="P1"><type>unkn</type></sample>'
    '<sample id="W"><type>ntc</type></sample><target id="CAR"><dyeId id="FAM"/></target><experiment id="E">'
    '<run id="R"><pcrFormat><rows>8</rows><columns>12</columns></pcrFormat>'
    '<react id="1"><sample id="P1"/><data><tar id="CAR"/><cq>25.5</cq></data></react>'
    '<react id="2"><sample id="W"/><data><tar id="CAR"/><cq>-1</cq></data></react></run></experiment></rdml>'
)


def rdml(path: Path, text: str | bytes = RDML) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdml_data.xml", text)
    return path


def workbook(path: Path, sheets: dict[str, Rows]) -> Path:
    with xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"created": datetime(2024, 5, 1)})  # else no two are alike
        date = book.add_format({"num_format": "yyyy-mm-dd"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for column, cell in enumerate(row):
                    if hasattr(cell, "isoformat"):
                        sheet.write_datetime(number, column, cell, date)
                    elif cell != "":
                        sheet.write(number, column, cell)
    return path


def part_of(path: Path, change: dict[str, Callable[[bytes], bytes]], target: Path) -> Path:
    """Copy a zip with some of its members changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change.get(info.filename, bytes)(old.read(info.filename)))
    return target


# What was read

VALUES = (
    "sample",
    "role",
    "cq_status",
    "omit",
    "nominal_copies",
    "vendor_quantity",
    "n_partitions",
    "n_positive",
    "cq",
)


def wells_of(wells, *, rows: bool = False):
    """Position, target and dye to what the well says."""
    keys = zip(*(wells[name].values for name in ("well_name", "target", "dye")), strict=True)
    names = (*VALUES, "row") if rows else VALUES
    said = zip(*(map(repr, wells[name].values.tolist()) for name in names), strict=True)
    return dict(zip(keys, said, strict=True))


def outcome(path, **options):
    """The wells, or None where the file is refused; a refusal is one sentence, and any other exception a fault."""
    try:
        return wells_of(read_plates(path, **options))
    except CkineticsError as err:
        check(str(err), path)
        return None


def check(text: str, path: Path) -> None:
    """A refusal is one sentence that names the file, without anything that is not seen."""
    assert text.startswith(one_line(path.name))
    assert text.isprintable()
    assert len(text) < 2500
