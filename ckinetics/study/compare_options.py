"""What a comparison of a folder is asked for, checked before it begins, and the names of its files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..arguments import whole_number
from ..errors import InputError
from ..fitting.comparison import FAILURES
from ..fitting.criteria import CRITERIA
from ..fitting.residuals import KINDS
from ..fitting.samples import CENSORING
from ..fitting.uncertainty import INTERVALS
from ..jobs import LOCK_NAME, RECORD_NAME
from ..suggestions import suggestion

FITS, COMPARISONS = "fits", "comparisons"


def check_options(
    settings: Mapping[str, Any], criterion: str, failures: str, models: Sequence[str], threads: int
) -> None:
    """Refuse options that no fit or comparison takes, before anything is written.

    Raises
    ------
    InputError
        It names the option and what it takes.
    """
    for name, least in (("starts", 1), ("seed", 0)):
        whole_number(name, settings[name], least=least)
    whole_number("threads", threads, least=1)
    named: list[tuple[str, Any, Any]] = [
        ("criterion", criterion, CRITERIA),
        ("failures", failures, FAILURES),
        ("censoring", settings["censoring"], CENSORING),
        ("interval", settings["interval"], ("auto", *INTERVALS)),
    ]
    if settings["residual"] is not None:
        named.append(("residual", settings["residual"], KINDS))
    for name, text, known in named:
        if text not in known:
            raise InputError(f"{name} is '{text}'{suggestion(str(text), known)}: use one of {', '.join(known)}")
    if isinstance(models, str) or not models:
        raise InputError("models names the models to compare, such as ['stein2019', 'ogasawara2021_lag']")
    twice = [name for name, count in Counter(models).items() if count > 1]
    if twice:
        raise InputError(f"model '{twice[0]}' is named twice: name it once")


def check_out(source: Path, out: Path) -> None:
    """Refuse a folder of results that is a file, is that of the cohorts, or holds other things than an earlier run."""
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file: name a folder for the results")
    if source.resolve() == out.resolve():
        raise InputError(f"the results would lie among the cohorts in '{out}': choose another folder")
    there = [path.name for path in out.iterdir() if path.name != LOCK_NAME] if out.is_dir() else []
    if there and RECORD_NAME not in there:
        raise InputError(f"'{out}' holds other files and no earlier run: name a new folder for the results")


def file_name(folder: str, *words: str) -> str:
    """Return a name that any file system takes, and that no other words have.

    Examples
    --------
    >>> file_name("fits", "arm A", "../my/model")
    'fits/arm-A--my-model-6b265291.nc'
    """
    safe = "--".join(re.sub(r"[^A-Za-z0-9_]+", "-", word).strip("-")[:40] for word in words)
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{folder}/{safe}-{digest}.nc"
