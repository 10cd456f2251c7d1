from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from report_builders import NASTY, arrays_study, fit_tree, plate_study, study

from ckinetics.errors import InputError, StaleResultError
from ckinetics.exposure import exposure_correlation, exposure_response
from ckinetics.noncompartmental import nca, nca_summary
from ckinetics.plot.style import parameter_label
from ckinetics.provenance import content_hash, sha256_file
from ckinetics.reporting import report
from ckinetics.reporting.core.numbers import number


class Page(HTMLParser):
    """Tables by caption (rows of cell texts), text, tags and attributes of a page."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.links, self.open, self.words = {}, [], [], [], []
        self.cell = self.caption = None
        self.feed(text)
        assert not self.open, self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "action", "data", "poster", "srcset")]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = ""
        elif tag == "caption":
            self.caption = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell.strip())
            self.cell = None
        elif tag == "caption":
            self.tables[self.caption.strip()] = self.rows
            self.caption = None

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style",):
            return
        self.words.append(data)
        if self.cell is not None:
            self.cell += data
        elif self.caption is not None:
            self.caption += data


def page(path):
    return Page(path.read_text(encoding="utf-8"))


def full_report(folder, cohort, **more):
    result = nca(cohort, intervals=[(0, 28), (0, np.inf)])
    fit = fit_tree(content_hash(cohort), [str(name) for name in cohort["patient"].values])
    odds = exposure_response(result["cmax"].sel(matrix="blood"), cohort["outcomes"]["response"])
    rho = exposure_correlation(result["cmax"].sel(matrix="blood"), result["auc_last"].sel(matrix="blood"))
    return result, report(cohort, result, fit, odds, rho, path=folder / "report.html", **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    cohort = study()
    result, path = full_report(tmp_path_factory.mktemp("report"), cohort, flags=["plate 7 could not be read"])
    return cohort, result, page(path)


def test_the_page_needs_nothing_else(made):
    _, _, html = made
    assert {"script", "link", "iframe", "object", "embed", "base", "form"}.isdisjoint(html.tags)
    assert all(link.startswith(("#", "data:image/svg+xml;base64,")) for link in html.links)
    assert not re.search(r"https?://|url\(|@import", html.text)


def test_every_section_is_there_and_linked(made):
    _, _, html = made
    titles = (
        "Conventions", "Summary", "Profiles", "Noncompartmental parameters", "Individual profiles", "Model fits",
        "Exposure and response", "Flags and exclusions", "Provenance",
    )  # fmt: skip
    for title in titles:
        assert html.text.count(title) >= 2


def test_every_number_of_the_nca_table_is_that_of_the_summary(made):
    _, result, html = made
    table = nca_summary(result)
    for matrix in ("blood", "bone marrow"):
        rows = {row[0]: row for row in html.tables[f"{matrix.capitalize()}: parameters over 6 patients"][1:]}
        part = table[table["matrix"] == matrix]
        assert len(part) == len(rows) == 11
        for _, row in part.iterrows():
            cells = rows[parameter_label(row["parameter"])]
            assert [int(cells[2]), int(cells[3])] == [row["n"], row["n not calculable"]]
            if not row["n"]:
                assert cells[6] == "n.c."
                continue
            assert plain(cells[6]) == pytest.approx(row["median"], rel=5.1e-4)
            if cells[4]:
                assert plain(cells[4]) == pytest.approx(row["geometric mean"], rel=5.1e-4)
            if cells[5] not in ("", "one value"):
                assert plain(cells[5]) == pytest.approx(row["geometric CV %"], rel=5.1e-4)
            assert row["n not calculable"] == sum(int(n) for n in re.findall(r": (\d+)", cells[8]))


def plain(text):
    """Read a number off the page, without the page's own code."""
    mantissa, _, power = text.replace(",", "").partition("×10")
    return float(mantissa) * 10.0 ** int(power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")) or 0)


def test_every_value_of_every_patient_is_that_of_the_result(made):
    _, result, html = made
    rows = html.tables["Blood: each patient's values"]
    assert rows[1][1:4] == ["copies/µg", "day", "day"]
    for at, row in enumerate(rows[2:]):
        value = float(result["half_life"].sel(matrix="blood").values[at])
        cell = row[rows[0].index("t½")]
        assert cell.startswith("n.c.") if np.isnan(value) else cell == number(value)
    assert rows[4][1].replace("\xa0", " ") == "<52 [2]"  # patient 3, all BLQ, LLOQ 52
    assert "Not calculable: no sample was quantifiable." in html.text


def test_nothing_shows_nan(made):
    _, _, html = made
    assert not re.search(r"\bnan\b|\bNaN\b|\bNaT\b|\bNone\b", html.text)


def test_exclusions_say_who_when_and_why(made):
    _, _, html = made
    row = html.tables["Excluded samples (1)"][2]
    assert row[:5] == ["kinetics", "P01", "blood", "14", "quantified"]
    assert row[8] == "haemolysed"
    assert row[9].startswith("a reader, 20")
    assert html.tables["Samples without a level (1)"][2][4] == "invalid"
    assert html.tables["Samples above ULOQ: a lower bound only (1)"][2][1] == "P04"
    assert html.tables["Further flags (1)"][1] == ["plate 7 could not be read"]


def test_the_header_says_the_rules_in_words(made):
    cohort, _, html = made
    for words in (
        "linear-up/log-down: linear trapezoids where the level rises, logarithmic ones where it falls",
        "before the first quantified: taken as 0; between: left out; after: the first taken as 0, the rest left out",
        "levels in copies/µg, LLOQ 50–55 (median 52.5), ULOQ 1×10⁶",
        "6 patients, of whom 6 infused.",
        "Blood: 6 patients with samples (36 samples), 1 without any quantified level (all below LLOQ); "
        "1 sample excluded.",
        content_hash(cohort),
        "0.95 confidence: Wald",
        "too few samples: 4",
        "5 usable samples cannot determine 7 parameters",
    ):
        assert words in html.text


def test_the_result_sentence_has_estimate_interval_and_numbers(made):
    assert re.search(
        r"Odds ratio of \S+ per doubling of Cmax in blood: .* patients used, \d+ dropped, \d+ with", made[2].text
    )
    assert re.search(
        r"Spearman correlation of Cmax in blood with the peak of .*: rho .* patients used, \d+ dropped", made[2].text
    )


def test_what_users_typed_is_text(tmp_path):
    cohort = study(4, nasty=NASTY)
    _, path = full_report(tmp_path, cohort, flags=[{NASTY: NASTY}], title=None, inputs={NASTY: "a" * 64})
    raw = path.read_text(encoding="utf-8")
    assert "<script" not in raw
    assert NASTY in page(path).text


def test_a_stale_result_is_named(tmp_path):
    cohort = study()
    result = nca(cohort)
    other = nca(study(seed=4))
    with pytest.raises(
        StaleResultError, match=r"result 2 \('noncompartmental analysis'\) was computed from other data"
    ):
        report(cohort, result, other, path=tmp_path / "r.html")
    with pytest.raises(StaleResultError, match="does not say from which cohort"):
        report(cohort, fit_tree("", ["P1"]), path=tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick_figures")
def test_an_exposure_of_bare_arrays_is_taken_and_said(tmp_path):
    cohort = study()
    exposure = nca(cohort)["cmax"].sel(matrix="blood").drop_attrs()
    odds = exposure_response(exposure, cohort["outcomes"]["response"])
    html = page(report(cohort, odds, path=tmp_path / "r.html"))
    assert "do not say which cohort" in html.text


def test_an_old_report_stays_whole_when_rendering_fails(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("old")
    cohort = study(2)
    monkeypatch.setattr("ckinetics.reporting.writing.render_page", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report(cohort, path=path)
    assert path.read_text() == "old"
    monkeypatch.setattr("ckinetics.reporting.writing.write_workbook", lambda part, *_, **__: part.write_text("x") / 0)
    old = tmp_path / "r.xlsx"
    old.write_text("old")
    with pytest.raises(ZeroDivisionError):
        report(cohort, path=old)
    assert old.read_text() == "old"
    assert {one.name for one in tmp_path.iterdir()} == {"r.html", "r.xlsx"}


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize(
    "levels", [np.empty((0, 3)), [[0, 0, 0]], [[0, 1e4, 90]], [[np.nan] * 3], [[0, 0, 0], [0, 1e4, 90]]]
)
def test_small_and_empty_cohorts(tmp_path, levels):
    cohort = arrays_study(levels)
    html = page(report(cohort, nca(cohort), path=tmp_path / "r.html"))
    assert f"{len(levels)} patient" in html.text
    assert not re.search(r"\bnan\b|\bNaN\b", html.text)


@pytest.mark.usefixtures("quick_figures")
def test_many_patients(tmp_path):
    cohort = study(30)
    html = page(report(cohort, nca(cohort), path=tmp_path / "r.html"))
    assert html.tags.count("img") == 2 + 2 * 3 + 3  # profiles, panels of twelve, Cmax and blood's area by response
    assert len(html.tables["Blood: each patient's values"]) == 32


@pytest.mark.usefixtures("quick_figures")
def test_verdicts_and_curves(tmp_path):
    html = page(report(plate_study(tmp_path), path=tmp_path / "r.html", inputs=[tmp_path / "plate1.csv"]))
    assert not any(caption.startswith("Verdicts") for caption in html.tables)
    assert "efficiency" in [row[0] for row in html.tables["Rules that passed"][1:]]
    assert sha256_file(tmp_path / "plate1.csv") in html.text
    assert "acceptance criteria: default" in html.text
    failed = page(report(plate_study(tmp_path, slope=-4.2), path=tmp_path / "s.html"))
    (caption,) = (caption for caption in failed.tables if caption.startswith("Verdicts"))
    outcomes = [row[0] for row in failed.tables[caption][1:]]
    assert outcomes[0] == "failed"
    assert outcomes == sorted(outcomes, key=["failed", "not evaluable"].index)
    assert "efficiency" not in [row[0] for row in failed.tables["Rules that passed"][1:]]


@pytest.mark.usefixtures("quick_figures")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "r.pdf"}, r"written as \.html or \.xlsx"),
        ({"path": "r.html", "inputs": ["nowhere.csv"]}, "'nowhere.csv' is not there"),
        ({"path": "r.html", "flags": "one text"}, "flags is one text"),
    ],
)
def test_wrong_input_is_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        report(study(2), **(options | {"path": tmp_path / options["path"]}))


def test_what_is_no_cohort_or_result_is_refused(tmp_path):
    cohort = study(2)
    with pytest.raises(InputError, match="expects a cohort"):
        report(nca(cohort), path=tmp_path / "r.html")
    with pytest.raises(InputError, match="expected a result of nca, fit"):
        report(cohort, nca(cohort)["cmax"], path=tmp_path / "r.html")


@pytest.mark.usefixtures("quick_figures")
def test_files_of_one_name_are_all_listed(tmp_path):
    html = page(report(plate_study(tmp_path), path=tmp_path / "r.html", inputs={"plate1.csv": "0" * 64}))
    rows = html.tables["Input files"][1:]
    assert rows == [["plate1.csv", "0" * 64], ["plate1.csv", sha256_file(tmp_path / "plate1.csv")]]


def test_a_damaged_list_of_inputs_is_named(tmp_path):
    cohort = study(2)
    cohort.attrs["inputs"] = "no json"
    with pytest.raises(InputError, match="'inputs' is no JSON"):
        report(cohort, path=tmp_path / "r.html")


@pytest.mark.usefixtures("quick_figures")
def test_a_real_fit(tmp_path):
    from ckinetics.fitting import fit
    from ckinetics.reporting import summary

    cohort = study(3)
    result = fit(cohort, "stein2019", fixed={"a": 0.2, "beta": 0.003, "foldx": 1e3, "FB": 0.01}, starts=2)
    html = page(report(cohort, nca(cohort), result, path=tmp_path / "r.html"))
    (caption,) = (caption for caption in html.tables if caption.startswith("Parameters and derived quantities"))
    rows = {row[0]: row for row in html.tables[caption][1:]}
    table = summary(result).set_index("parameter")
    assert rows["a (fixed)"][7] == "0.2"
    assert plain(rows["Tmax"][7]) == pytest.approx(table.loc["Tmax", "median"], rel=5.1e-4)
    assert "no quantified sample" in html.text
    assert html.tables["How each fit ended"][3][5] == "not fitted"
    report(cohort, result, path=tmp_path / "r.xlsx")
