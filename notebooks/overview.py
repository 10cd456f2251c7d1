"""Draw the picture of the README from the demo's results: ``python notebooks/overview.py demo-output``."""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

import ckinetics as ck


def main(results: Path) -> None:
    """Draw three steps of the demo: a standard curve, the profiles, Cmax by response."""
    cohort, nca = ck.load(results / "cohort.nc"), ck.load(results / "nca.nc")
    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1.5, 1])
    ck.plot.standard_curve(cohort, "plate_01", ax=left)
    ck.plot.profiles(cohort, matrix="blood", colour_by="dose_level", ax=middle)
    ck.plot.exposure_by_group(nca["cmax"].sel(matrix="blood"), cohort["outcomes"]["response"], ax=right)
    figure.savefig(Path(__file__).with_name("overview.png"), dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output"))
