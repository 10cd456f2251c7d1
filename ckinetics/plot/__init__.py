"""Figures: one function each; data first, ``ax=`` to draw into axes of one's own, Axes returned.

Without ``ax`` a notebook gets a figure of pyplot, which it shows; a script gets a figure that belongs to
nobody else (save it with ``ax.figure.savefig``, or pass ``ax=plt.subplots()[1]`` to show it).
"""

from .curves import standard_curve
from .goodness import observed_predicted, prediction_errors, prediction_errors_qq, profile_likelihood, residuals
from .panels import individuals
from .plate_map import plate_map
from .plates import plate_curve, plate_partitions, plate_replicates, plate_residuals
from .response import exposure_by_group, exposure_correlation, exposure_response
from .spaghetti import profiles

__all__ = [
    "exposure_by_group",
    "exposure_correlation",
    "exposure_response",
    "individuals",
    "observed_predicted",
    "plate_curve",
    "plate_map",
    "plate_partitions",
    "plate_replicates",
    "plate_residuals",
    "prediction_errors",
    "prediction_errors_qq",
    "profile_likelihood",
    "profiles",
    "residuals",
    "standard_curve",
]
