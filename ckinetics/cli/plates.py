"""The command ``ckinetics plates``: what plate exports hold, before anything is computed from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..assay.inspection import FileDescription


def plates(
    files: Annotated[list[Path], typer.Argument(help="Plate exports, or folders of them.")],
    layout: Annotated[Path | None, typer.Option(help="The sample sheet in such a folder, which is no plate.")] = None,
    metadata: Annotated[
        bool, typer.Option("--metadata", help="Show private metadata too: operators, paths, serial numbers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a file.")] = False,
) -> None:
    """List what is in plate exports: family, version, wells, tasks, targets, metadata."""
    from ..assay.inspection import inspect_file, plate_files
    from ..errors import CkineticsError

    try:
        found = [inspect_file(path) for path in plate_files(files, layout)]
    except CkineticsError as err:
        typer.echo(f"ckinetics: {err}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps([one.as_dict(private=metadata) for one in found], indent=2, ensure_ascii=False))
    else:
        for one in found:
            typer.echo("\n".join(_lines(one, private=metadata)))
        failed = sum(bool(one.error) for one in found)
        typer.echo(f"{len(found) - failed} of {len(found)} files read")
    raise typer.Exit(1 if any(one.error for one in found) else 0)


def _lines(one: FileDescription, *, private: bool) -> list[str]:
    if one.error:
        return [one.file, f"  not read: {one.error}"]
    entries = [
        ("family", one.family + (f" ({one.software})" if one.software else "")),
        ("sha256", one.sha256),
        ("runs", ", ".join(one.runs)),
        ("wells", f"{one.n_wells} in {one.n_positions} positions"),
        ("tasks", _counts(one.roles, "without a task")),
        ("targets", _counts(one.targets, "without a target")),
        ("Cq", _cq(one)),
        ("quantities", f"{one.n_nominal} nominal, {one.n_vendor} calculated by the software"),
        *(("note", text) for text in one.notes),
        *((name, text) for name, text in one.metadata.items()),
    ]
    if private:
        entries += one.private.items()
    elif one.private:
        word = "entry" if len(one.private) == 1 else "entries"
        entries.append(("metadata", f"{len(one.private)} private {word} hidden: show with --metadata"))
    return [one.file, *(f"  {_plain(name)}: {_plain(text)}" for name, text in entries)]


def _counts(counts: Mapping[str, int], nameless: str) -> str:
    return ", ".join(f"{number} {name or nameless}" for name, number in counts.items())


def _cq(one: FileDescription) -> str:
    if one.n_partitioned:
        return f"none; {one.n_partitioned} with counts of partitions"
    return f"{one.n_determined} determined, {one.n_undetermined} undetermined, {one.n_missing} missing"


def _plain(text: str) -> str:
    """Return text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
