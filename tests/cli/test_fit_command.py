"""`ckinetics fit` as a process."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import ckinetics as ck

TIMES = [1, 3, 5, 7, 9, 11, 14, 18, 21, 28, 60, 90, 180]


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "ckinetics", "fit", *map(str, words)], capture_output=True, encoding="utf-8"
    )


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    for name, seed in (("arm_a", 1), ("arm_b", 2)):
        ck.save(ck.cohort(ck.simulate("stein2019", times=TIMES, n=3, seed=seed, lloq=50)), folder / f"{name}.nc")
    return folder


def test_estimates_of_every_cohort_with_intervals(study, tmp_path):
    out = tmp_path / "out"
    done = command(study, "--model", "stein2019", "--out", out, "--no-figures")
    assert done.returncode == 0, done.stderr
    assert "2 fits made, 0 kept from before, 0 failed" in done.stdout
    estimates, derived = pd.read_csv(out / "estimates.csv"), pd.read_csv(out / "derived.csv")
    assert len(estimates) == 2 * 3 * 7
    own = ck.fit(ck.load(study / "arm_b.nc"), "stein2019")
    rows = estimates[(estimates["cohort"] == "arm_b") & (estimates["parameter"] == "Cmax")]
    assert rows["upper"].tolist() == own["estimates/upper"].sel(parameter="Cmax").values.tolist()
    assert rows["patient"].astype(str).tolist() == own["patient"].values.tolist()
    assert set(derived["quantity"]) >= {"auc_0_28", "doubling_time", "persistence"}
    assert derived["message"].str.startswith("converged").all()
    again = command(study, "--model", "stein2019", "--out", out, "--no-figures")
    assert "0 fits made, 2 kept from before" in again.stdout


def test_a_bad_cohort_does_not_stop_the_others(study, tmp_path):
    (study / "broken.csv").write_text("patient,time\n1,2\n", encoding="utf-8")
    out = tmp_path / "out"
    done = command(study, "--model", "stein2019", "--out", out, "--no-figures", "--interval", "t")
    assert done.returncode == 1
    assert "broken" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(pd.read_csv(out / "estimates.csv")["cohort"]) == {"arm_a", "arm_b"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "stein2091"], "stein2091"),
        (["--model", "stein2019", "--starts", "0"], "starts"),
        (["--model", "stein2019", "--output", "level"], "--output is 'level': write NAME=GROUP/LABEL"),
        (["--model", "stein2019", "--output", "level=a", "--output", "level=b"], "names 'level' twice"),
        (["--model", "stein2019", "--output", "level=flow/blood"], "flow"),
        (["--model", "stein2019", "--inputs", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_wrong_use(study, tmp_path, words, message):
    done = command(study, *words, "--out", tmp_path / "out")
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
