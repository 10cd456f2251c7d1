"""A whole study: the steps that ``ckinetics run`` takes, and the synthetic study of the demo."""

from .run import FileVerdict, StudyRun, run_study
from .settings import StudySettings, read_settings
from .synthetic import simulate_study

__all__ = ["FileVerdict", "StudyRun", "StudySettings", "read_settings", "run_study", "simulate_study"]
