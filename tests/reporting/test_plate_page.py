"""The page of a plate: what it says, where it says things come from, and what it does with hostile names."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
import xarray as xr

from ckinetics.assay import quantify, read_plates
from ckinetics.errors import InputError
from ckinetics.provenance import sha256_file
from ckinetics.reporting.pages.plate import plate_page
from ckinetics.reporting.tables.batch import batch_sheets, results_frame, spans, table_frame, write_csv
from ckinetics.study.pages import split_runs
from ckinetics.tables import csv_plain


def write(folder: Path, name: str, *, sample: str = "S1", ntc: str = "Undetermined", target: str = "CAR") -> Path:
    rows = [("STD", "standard", 38 - 3.32 * k + s, 10**k) for k in range(1, 7) for s in (-0.05, 0.0, 0.05)]
    rows += [("NTC", "ntc", ntc, "")] * 2 + [(sample, "unknown", 28.0 + s, "") for s in (-0.1, 0.0, 0.1)]
    plate = pd.DataFrame(rows, columns=["sample", "role", "cq", "quantity"])
    plate["well"] = [f"{'ABCD'[at // 12]}{at % 12 + 1}" for at in range(len(plate))]
    plate["target"] = target
    plate.to_csv(folder / f"{name}.csv", index=False)
    return folder / f"{name}.csv"


def quantified(folder: Path, names: list[str] | None = None, **options: object) -> xr.DataTree:
    sheet = pd.DataFrame({"sample": names or ["S1"], "patient": "P1", "dna_ng": 200.0})
    sheet["time"] = [7.0 * (at + 1) for at in range(len(sheet))]
    return quantify(read_plates(folder, layout=sheet, errors="collect"), repeats="mean", **options)  # type: ignore[arg-type]


class Page(HTMLParser):
    """The tags and the text of a page; anything that would load or run something is refused."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "form")
        for name, value in attrs:
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert (value or "").startswith(("#", "data:image/svg+xml;base64,"))
                self.images += [value or ""] if tag == "img" else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words(page: Page) -> str:
    return " ".join(" ".join(page.text).split())


def test_a_page_traces_its_results(tmp_path: Path) -> None:
    file = write(tmp_path, "plate_1")
    page = Page(plate_page(quantified(tmp_path), "plate_1"))
    text = words(page)
    assert "CAR: accepted" in text
    assert sha256_file(file) in text
    assert "22–24" in text  # the rows of S1 in the file
    lines = file.read_text().splitlines()
    assert [line.split(",")[0] for line in lines[21:24]] == ["S1"] * 3
    assert "weighted" in text
    assert "No well was left out, masked" in text
    (image,) = page.images
    svg = base64.b64decode(image.partition(",")[2]).decode()
    ElementTree.fromstring(svg)
    assert "Residuals of the standards: CAR" in svg


def test_a_failed_plate_says_why_at_the_top(tmp_path: Path) -> None:
    write(tmp_path, "plate_1", ntc="30.0")
    text = words(Page(plate_page(quantified(tmp_path), "plate_1")))
    assert text.index("CAR: failed. ") < text.index("Standard") if "Standard" in text else "CAR: failed. " in text
    assert re.search(r"CAR: failed\. .*no-template control", text)
    assert "B7 B8 CAR NTC ntc" in text
    assert "of 3" in text
    assert not re.search(r"\b0 of 3", text)  # nobody looked at the wells of the sample


def test_hostile_names_are_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    write(tmp_path, "plate_1", sample=name, target="<img src=x onerror=alert(1)> $x^2$")
    html = plate_page(quantified(tmp_path, [name]), "plate_1")
    assert name in words(Page(html))
    assert "<script" not in html


def test_each_run_has_its_own_page(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"plate_{number}", sample=f"S{number}")
    (tmp_path / "bad.csv").write_text("nothing")
    data = quantified(tmp_path, ["S0", "S1", "S2"])
    parts = dict(split_runs(data))
    assert list(parts) == ["plate_0", "plate_1", "plate_2"]
    for number, (run_id, part) in enumerate(parts.items()):
        assert set(part["wells"]["run_id"].values) == {run_id}
        assert part["wells"]["file_name"].values.tolist() == [f"plate_{number}.csv"]
        text = plate_page(part, run_id)
        without_time = re.sub(r"Made \S+", "", text)
        assert without_time == re.sub(r"Made \S+", "", plate_page(data, run_id))
        assert f"S{(number + 1) % 3}" not in words(Page(text))
    assert sum(part["verdicts"].sizes["verdict"] for part in parts.values()) <= data["verdicts"].sizes["verdict"]


def test_what_is_no_plate_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "plate_1")
    data = quantified(tmp_path)
    with pytest.raises(InputError, match="there is no run 'x'"):
        plate_page(data, "x")
    with pytest.raises(InputError, match="hold no plates"):
        plate_page(xr.DataTree(), "x")


def test_tables_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "plate_1", sample="=1+1", ntc="30.0")
    data = quantified(tmp_path, ["=1+1"])
    frame = results_frame(data)
    assert frame["sheet_and_rows"].tolist() == ["22–24"]
    assert frame["status"].tolist() == ["invalid"]
    verdicts = table_frame(data, "verdicts")
    assert set(verdicts["outcome"]) <= {"passed", "failed", "not_evaluable"}
    write_csv(tmp_path / "out.csv", frame)
    read = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert read["sample"].tolist() == ["'=1+1"]
    assert csv_plain(read["sample"][0]) == "=1+1"
    monkeypatch.setattr("ckinetics.reporting.tables.batch._MOST_ROWS", 10)
    sheets = batch_sheets(data, [], {}, ["a note"])
    wells = [sheet for sheet in sheets if sheet.name.startswith("Wells")]
    assert [sheet.name for sheet in wells] == ["Wells", "Wells 2", "Wells 3"]
    assert sum(len(sheet.frame) for sheet in wells) == data["wells"].sizes["well"]
    assert "n_partitions" not in wells[0].frame
    assert "cq" in wells[0].frame


def test_neighbouring_rows_are_joined() -> None:
    assert spans([]) == ""
    assert spans([3, 1, 2, 2, 9]) == "1–3, 9"
