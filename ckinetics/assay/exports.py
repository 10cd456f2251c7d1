"""One plate export by itself: which files of a folder are exports, and what is in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, InputError
from .readers import Options, read_source
from .sources import open_source

_TEMPORARY = (".tmp", ".temp", ".part", ".lock", ".crdownload")
_SYSTEM = ("thumbs.db", "desktop.ini")


@dataclass
class Export:
    """What one file holds, whatever other files and the sample sheet say.

    Attributes
    ----------
    path : where it is
    sha256 : hash of its bytes; "" where it could not be opened
    family, software : vendor family that read it, and the software that wrote it
    rows : its wells, each a dict of schema names; ``run`` in place of ``run_id``, "" where the file names none
    error : why it could not be read; None where it was
    """

    path: Path
    sha256: str = ""
    family: str = ""
    software: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    error: InputError | None = None


def export_files(paths: str | Path | Sequence[str | Path], layout: Path | None = None) -> list[Path]:
    """Return the files that `read_plates` reads of files and folders.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, and folders whose files are taken, sorted by name; a folder without any stands for itself.
    layout : Path, optional
        The sample sheet, which may lie among them and is no export.

    Raises
    ------
    InputError
        No file is named, or something that is no path.
    """
    try:
        given = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    except TypeError:
        raise InputError(f"expected a file, a folder or a list of them, got {paths!r}") from None
    out: list[Path] = []
    for path in given:
        if not path.is_dir():
            out.append(path)
            continue
        # A dangling link is a file that somebody expects here.
        entries = [entry for entry in sorted(path.iterdir()) if entry.is_file() or _dangles(entry)]
        out += [file for file in entries if not _is_by_the_way(file, layout)] or [path]
    if not out:
        raise InputError("no file was given: name a file, a folder or a list of them")
    return list(dict.fromkeys(out))


def _dangles(entry: Path) -> bool:
    return entry.is_symlink() and not entry.exists()


def _is_by_the_way(file: Path, layout: Path | None) -> bool:
    name = file.name.lower()
    if name.startswith((".", "~$")) or name.endswith(("~", *_TEMPORARY)) or name in _SYSTEM:
        return True
    return layout is not None and layout.exists() and file.exists() and file.samefile(layout)


def read_export(path: str | Path, options: Options | None = None, /) -> Export:
    r"""Read one plate export; one that cannot be read comes back with its error.

    Parameters
    ----------
    path : str or Path
        The file.
    options : Options, optional
        Column map, task words and so on; see `read_plates`.

    Returns
    -------
    Export
        It depends on the file's bytes and the options only, save for the file's name in its rows.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "plate.csv"
    >>> _ = file.write_text("well,sample,target,role,cq\nA01,S1,CAR,unknown,27.5\n")
    >>> export = read_export(file)
    >>> export.family, export.rows[0]["well_name"], export.error
    ('tidy', 'A1', None)
    """
    export = Export(Path(path))
    try:
        source = open_source(export.path)
        export.sha256 = source.sha256
        family, reading = read_source(source, options or Options())
        _refuse_unwritable(export.path, reading.rows)
    except InputError as err:
        export.error = err
        return export
    export.family, export.software, export.rows = family.name, reading.software, reading.rows
    return export


def _refuse_unwritable(path: Path, rows: list[dict[str, Any]]) -> None:
    """Refuse text that no result file can hold: it would cost the results of all other files too."""
    for row in rows:
        text = "".join([value for value in row.values() if isinstance(value, str)])
        if "\0" in text or (not text.isascii() and _has_half_pair(text)):
            raise FileFormatError(
                "a cell holds a character that no file can hold (NUL, or half of a pair): remove it",
                file=path,
                sheet=row["sheet"],
                row=int(row["row"]),
            )


def _has_half_pair(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)
