"""The command ``ckinetics models``: the library as a list, one model as a page, a file checked, SBML in and out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from ..modeling import Model
    from ..modeling.checking import ModelCheck

_OPTION = typer.Option


def models(
    name: Annotated[
        str,
        typer.Argument(help="A model's name or the path of a file: show it. Or check, page, import or export."),
    ] = "",
    subject: Annotated[
        str,
        typer.Argument(
            help="After check: a model's name, the path of a file, or all for the whole library. After export: a "
            "model's name, or the path of a file. After import: an SBML file."
        ),
    ] = "",
    out: Annotated[
        Path | None,
        _OPTION(
            "--out",
            "-o",
            help="Of import and export: the file that is written; without it the text is shown. Of page: the folder to "
            "write the page to (default model-library).",
        ),
    ] = None,
    text: Annotated[bool, _OPTION("--text", help="Show the file as it is.")] = False,
    points: Annotated[int, _OPTION(min=1, help="Of check: random points at which identifiability is judged.")] = 5,
    seed: Annotated[int, _OPTION(min=0, help="Of check: their seed.")] = 0,
) -> None:
    """List the models; show one; check a model file or the whole library; write it as a page; go from and to SBML.

    Checking validates the file, runs its examples, compares closed forms with the integrated equations, and reports
    which parameters the outputs can tell apart. A file that cannot be read is told with every fault that was found, and
    its line. Importing makes a model file of an SBML file, exporting an SBML file of a model; both need python-libsbml
    (pip install 'ckinetics[sbml]').

    Exit codes: 0 everything went well; 1 the file is faulty or does not keep what it says; 2 the command was used
    wrongly.
    """
    from ..errors import CkineticsError, InputError

    try:
        if name == "check":
            _check(subject, points, seed)
        elif name in ("import", "export"):
            _exchange(name, subject, out)
        elif name == "page" and not subject:
            _page(out or Path("model-library"))
        elif subject:
            raise InputError(f"'{name} {subject}' is not understood: write 'check {subject}', or one name to show")
        elif out is not None:
            raise InputError(
                "--out is of import, export and page: write 'ckinetics models import FILE.xml --out NAME.toml'"
            )
        elif name:
            _show(name, text=text)
        else:
            _list()
    except InputError as err:
        # What is wrong in a file names it; what names none is wrong in the words of the command.
        _stop(err, 1 if err.file else 2)
    except BrokenPipeError:  # the reader has seen enough, as head does: not a failure to tell of
        raise
    except (CkineticsError, OSError) as err:
        _stop(err, 1)


def _list() -> None:
    from ..modeling import list_models, load_model
    from ..reporting.pages.model import list_lines

    _echo(list_lines([load_model(name) for name in list_models()]))


def _show(name: str, *, text: bool) -> None:
    from ..modeling import load_model

    model = load_model(name)
    if text:
        _echo(model.text.splitlines())
        return
    from ..reporting.pages.model import model_lines

    _echo(model_lines(model, ascii_only=_ascii_only()))


def _exchange(direction: str, subject: str, out: Path | None) -> None:
    """Write a model file made of an SBML file, or an SBML file made of a model."""
    from ..errors import InputError
    from ..jobs import write_text
    from ..modeling import load_model, read_sbml

    if not subject:
        example = "import FILE.xml --out NAME.toml" if direction == "import" else "export NAME --out FILE.xml"
        raise InputError(f"{direction} needs what to read: ckinetics models {example}")
    ending = ".toml" if direction == "import" else ".xml"
    if out is not None and out.suffix != ending:
        raise InputError(f"--out is '{out}': give a name that ends in {ending}")
    if out is not None and out.exists():
        raise InputError(f"--out is '{out}', which exists: give another name, or remove it")
    if direction == "import":
        text = read_sbml(subject)
    else:
        from ..modeling.sbml import sbml_text

        text = sbml_text(load_model(subject))
    if out is None:
        _echo(text.splitlines())
    else:
        write_text(out, text)
        typer.echo(f"wrote {out}")


def _check(name: str, points: int, seed: int) -> None:
    from ..errors import InputError
    from ..modeling import list_models, load_model
    from ..modeling.checking import check_model

    if not name:
        raise InputError("check needs a model's name, the path of a file, or all: ckinetics models check FILE")
    passed = True
    for one in list_models() if name == "all" else [name]:
        model = load_model(one)
        found = check_model(model, points=points, seed=seed)
        _echo([*check_lines(model, found), *([""] if name == "all" else [])])
        passed = passed and found.passed
    if not passed:
        raise typer.Exit(1)


def _page(out: Path) -> None:
    from ..reporting.pages.library import write_library_page

    _echo([str(write_library_page(out))])


def check_lines(model: Model, found: ModelCheck) -> list[str]:
    """Return what a check found, for a person."""
    from ..reporting.pages.model import wrapped

    spec = model.specification
    time_unit = spec.time_unit
    counts = [(len(spec.parameters), "parameter"), (len(spec.states), "state"), (len(spec.phases), "phase")]
    counts.append((len(spec.outputs), "output"))
    said = ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts)
    lines = wrapped(f"{model.file or model.name}: the file is valid ({said})")
    lines.append("examples" if spec.example else "examples: the file has none; add one, so that it tests itself")
    for example in found.examples:
        mark = "passed" if example["passed"] else "FAILED"
        line = f"{mark}: {example['title'] or 'untitled'}: error {example['error']:.2g}, tolerance"
        lines += wrapped(f"{line} {example['tolerance']:g}; {example['source']}", "  ", hang=4)
        if not example["passed"]:
            lines += wrapped(f"line {example['line']}: {example['worst']}", "    ", hang=4)
    for one in found.closed_forms:
        verdict = "agrees with" if one.agrees else "DIFFERS FROM"
        lines += wrapped(
            f"closed form of {one.output} {verdict} the integrated equations: largest relative difference "
            f"{one.difference:.2g}, at {one.time:g} {time_unit}, of {one.n_times} times"
        )
    steps = ", ".join(f"{count} steps with {method}" for method, count in found.steps.items())
    lines += wrapped(f"integration: {model.method} suits it ({steps} at the file's values)")
    if found.identifiability is not None:
        given = f", with {', '.join(found.inputs)} as in an example" if found.inputs else ""
        lines.append(f"structural identifiability (local{given})")
        for name in found.identifiability["observed"].values:
            judged = found.identifiability.sel(observed=name)
            rank, size = int(judged["rank"]), judged.sizes["parameter"]
            told = "; ".join(sentence for sentence in judged["finding"].values.tolist() if sentence)
            whole = "every parameter is identifiable" if rank == size else told
            lines += wrapped(f"{name}: rank {rank} of {size}: {whole}", "  ", hang=4)
    for note in found.notes:
        lines += wrapped(f"note: {note}")
    for problem in found.problems:
        lines += wrapped(f"FAILED: {problem}")
    return [*lines, "passed" if found.passed else "not passed"]


def _ascii_only() -> bool:
    from ..reporting.pages.equations import CHARACTERS

    try:
        CHARACTERS.encode(_encoding())
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "ascii"


def _echo(lines: list[str]) -> None:
    """Print lines; a letter that the terminal lacks becomes ``?``."""
    encoding = _encoding()
    for line in lines:
        typer.echo(line.encode(encoding, "replace").decode(encoding))


def _stop(err: Exception, code: int) -> NoReturn:
    from ..errors import ModelFileError

    typer.echo(f"ckinetics: {err}", err=True)
    if isinstance(err, ModelFileError):
        for fault in err.others:
            typer.echo(f"ckinetics: {ModelFileError(fault, file=err.file)}", err=True)
    raise typer.Exit(code)
