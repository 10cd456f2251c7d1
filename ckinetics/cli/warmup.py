"""The command ``ckinetics warmup``: compile everything once, ahead of use."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .progress import Bar
from .stopping import stop

_OPTION = typer.Option


def warmup(
    models: Annotated[
        list[str] | None, typer.Argument(help="Names or paths of models; default all that come with ckinetics.")
    ] = None,
    quiet: Annotated[bool, _OPTION("--quiet", "-q", help="Show nothing but faults.")] = False,
) -> None:
    """Compile all kernels and the functions of models, once: later calls load them. May be interrupted and repeated.

    Exit codes: 0 everything went well; 1 a model file is faulty, or the cache folder cannot be written; 2 the command
    was used wrongly.
    """
    from ..errors import CkineticsError, InputError
    from ..notices import set_writer
    from ..study.warmup import warm_up

    set_writer(None)  # this command itself says that it compiles
    terminal = sys.stderr.isatty()
    bar = Bar(shown=terminal and not quiet)

    def show(step: str, done: int, total: int) -> None:
        if terminal:
            bar.show("compiling", done, total, step)
        elif not quiet and done < total:
            typer.echo(f"{done + 1}/{total} {step}", err=True)

    try:
        with bar:
            root = warm_up(models or None, progress=show)
    except InputError as err:
        stop(err, 1 if err.file else 2)
    except (CkineticsError, OSError) as err:  # a full disk, a folder that cannot be written
        stop(err, 1)
    if not quiet:
        typer.echo(f"everything is compiled, once for all; it lies in {root.resolve()}")
