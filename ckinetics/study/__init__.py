"""A whole study: the steps that ``ckinetics run`` takes, and the synthetic study of the demo."""

from .batch import BatchRun, quantify_folder
from .nca_folder import NcaRun, analyse_file
from .nca_input import Levels
from .outcome import FileVerdict, StudyRun
from .run import run_study
from .settings import StudySettings, read_settings
from .synthetic import simulate_study

__all__ = [
    "BatchRun",
    "FileVerdict",
    "Levels",
    "NcaRun",
    "StudyRun",
    "StudySettings",
    "analyse_file",
    "quantify_folder",
    "read_settings",
    "run_study",
    "simulate_study",
]
