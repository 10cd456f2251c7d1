"""One sentence for every construct that a model file cannot say."""

from __future__ import annotations

from typing import NoReturn

from ...errors import ModelFileError

MISSING = "SBML files need python-libsbml, which is not installed: pip install 'ckinetics[sbml]'"


class Refusal:
    """Refuses constructs of one file.

    Parameters
    ----------
    file : str
        Its name.
    """

    def __init__(self, file: str) -> None:
        self.file = file

    def __call__(self, why: str) -> NoReturn:
        """Raise the sentence, with the file's name in front."""
        raise ModelFileError(why, file=self.file or None)
