"""What a plate export holds, without quantifying it: the reader that took it, its wells, and what it says of itself.

Metadata are never part of the wells. Those that name a person, a computer, a path or a serial number are private,
and kept apart from the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..schema import CqStatus
from .exports import export_files
from .readers import Options, read_source
from .sources import open_source

_PRIVATE_NAME = re.compile(
    r"\b(user|operator|experimenter|analyst|technician|owner|author|by|login|"
    r"e-?mail|phone|address|contact|computer|host|pc name|serial|sn|path|folder|directory|file ?name|file)\b",
    re.IGNORECASE,
)
_PRIVATE_TEXT = re.compile(
    r"[A-Za-z]:[\\/]"  # a drive
    r"|\\\\[^\s\\]+\\"  # a share
    r"|(?:^|[\s=,;(])(?:file:/)?~?/[^\s/]+/"  # a path of Unix
    r"|[\w.+-]+@[\w-]+\.\w+"  # a mail address
    r"|\bSN:|\bserial\b",
    re.IGNORECASE,
)
_NOTHING = frozenset({"", "na", "n/a", "none", "-"})


@dataclass(frozen=True)
class FileDescription:
    """What was found in one file.

    Attributes
    ----------
    file, sha256 : name of the file, without its folder, and hash of its bytes
    family : title of the vendor family that read it; "" where none did
    software : name and version of the software that wrote it, where the file says so
    n_wells, n_positions : wells and targets (one row each), and different positions of plates
    runs, roles, targets : names of runs; roles and targets with their numbers of wells
    n_determined, n_undetermined, n_missing : wells with a Cq, with a word for "no signal", and with neither
    n_partitioned : wells of digital PCR with counts of partitions
    n_nominal, n_vendor : wells with nominal copies, and with a quantity that the software calculated
    metadata, private : what the file says of itself, and the part that names persons, computers, paths or serials
    notes : what is needed before it can be quantified
    error : why it cannot be read; "" where it was
    """

    file: str
    sha256: str = ""
    family: str = ""
    software: str = ""
    n_wells: int = 0
    n_positions: int = 0
    runs: tuple[str, ...] = ()
    roles: Mapping[str, int] = field(default_factory=dict)
    targets: Mapping[str, int] = field(default_factory=dict)
    n_determined: int = 0
    n_undetermined: int = 0
    n_missing: int = 0
    n_partitioned: int = 0
    n_nominal: int = 0
    n_vendor: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str = ""

    def as_dict(self, *, private: bool = False) -> dict[str, Any]:
        """Return it as plain data; private metadata are only counted unless asked for."""
        data = asdict(self)
        data["n_private"] = len(self.private)
        if not private:
            del data["private"]
        return data


def is_private(name: str, text: str) -> bool:
    r"""Whether an entry of metadata names a person, a computer, a path or a serial number.

    Examples
    --------
    >>> is_private("Operator", "somebody"), is_private("Comment", r"from C:\data\x.eds"), is_private("Dye", "FAM")
    (True, True, False)
    """
    if text.casefold() in _NOTHING:
        return False
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name)  # serialNumber, user_name
    numbered = re.search(r"\binstrument\b", words, re.IGNORECASE) and re.search(r"\d{6}", text)
    return bool(numbered or _PRIVATE_NAME.search(words) or _PRIVATE_TEXT.search(text))


def split_metadata(metadata: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the public and the private part; what a private entry says is private wherever it stands.

    Examples
    --------
    >>> split_metadata({"Chemistry": "TAQMAN", "Instrument Name": "K7", "Instrument Serial Number": "K7"})
    ({'Chemistry': 'TAQMAN'}, {'Instrument Name': 'K7', 'Instrument Serial Number': 'K7'})
    """
    secrets = {text for name, text in metadata.items() if is_private(name, text)}
    long = [text for text in secrets if len(text) > 4]
    hidden = {name for name, text in metadata.items() if text in secrets or any(secret in text for secret in long)}
    public = {name: text for name, text in metadata.items() if name not in hidden}
    return public, {name: text for name, text in metadata.items() if name in hidden}


def plate_files(paths: Sequence[str | Path], layout: Path | None = None) -> list[Path]:
    """Return the files that `read_plates` would read of files and folders; `layout` is the sample sheet among them."""
    return export_files(paths, layout)


def inspect_file(path: str | Path, /, *, options: Options | None = None) -> FileDescription:
    r"""Read a plate export and say what is in it; a file that cannot be read is described too.

    Parameters
    ----------
    path : str or Path
        The file.
    options : Options, optional
        Column map, task words and so on, as for `read_plates`.

    Returns
    -------
    FileDescription
        With ``error`` where the file cannot be read: the families tried and the header found nearest.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "plate.csv"
    >>> _ = file.write_text("well,sample,target,role,cq\nA01,S1,CAR,unknown,27.5\n")
    >>> found = inspect_file(file)
    >>> found.family, found.n_wells, dict(found.roles), found.error
    ('tidy well table', 1, {'unknown': 1}, '')
    """
    where = Path(path)
    sha256 = ""
    try:
        source = open_source(where)
        sha256 = source.sha256
        family, reading = read_source(source, options or Options())
    except InputError as err:
        return FileDescription(where.name, sha256, error=str(err))
    rows = reading.rows
    stem = where.name.removesuffix(".gz").rsplit(".", 1)[0]
    status = Counter(CqStatus(row["cq_status"]).name for row in rows)
    partitioned = sum(np.isfinite(row.get("n_partitions", np.nan)) for row in rows)
    public, private = split_metadata(reading.metadata)
    return FileDescription(
        where.name,
        sha256,
        family.title,
        reading.software,
        n_wells=len(rows),
        n_positions=len({(row["run"], row["well_name"]) for row in rows}),
        runs=tuple(dict.fromkeys(row["run"] or stem for row in rows)),
        roles=_counted(row["role"] for row in rows),
        targets=_counted(row["target"] for row in rows),
        n_determined=status["determined"],
        n_undetermined=status["undetermined"],
        n_missing=status["missing"],
        n_partitioned=int(partitioned),
        n_nominal=_finite(rows, "nominal_copies"),
        n_vendor=_finite(rows, "vendor_quantity"),
        metadata=public,
        private=private,
        notes=tuple(_notes(rows, digital=family.digital)),
    )


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _finite(rows: list[dict[str, Any]], name: str) -> int:
    return sum(bool(np.isfinite(row.get(name, np.nan))) for row in rows)


def _notes(rows: list[dict[str, Any]], *, digital: bool) -> list[str]:
    if digital:
        lacking = sum("n_partitions" not in row for row in rows)
        unsized = sum("n_partitions" in row and not np.isfinite(row["partition_nl"]) for row in rows)
        return [
            f"{number} wells have no {what}"
            for number, what in ((lacking, "counts of partitions"), (unsized, "volume of a partition"))
            if number
        ]
    found = []
    standards = [row for row in rows if row["role"] == "standard"]
    bare = [row for row in standards if not np.isfinite(row.get("nominal_copies", np.nan))]
    if not standards:
        found.append("no standards: this plate alone gives no levels")
    elif bare:
        found.append(
            f"{len(bare)} of {len(standards)} standards have no nominal copies: the sample sheet can give them"
        )
    nameless = sum(not row["target"] for row in rows)
    if nameless:
        found.append(f"{nameless} wells have no target: the sample sheet can give it")
    return found
