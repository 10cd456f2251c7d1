"""How a command ends that cannot go on: one sentence on stderr, and an exit code."""

from __future__ import annotations

from typing import NoReturn

import typer


def stop(err: Exception, code: int) -> NoReturn:
    """Say what is wrong and leave with an exit code."""
    typer.echo(f"ckinetics: {err}", err=True)
    raise typer.Exit(code)
