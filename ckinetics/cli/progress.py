"""A progress bar on a terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import typer


class Bar:
    """A progress bar for each step, on a terminal; nothing in a log or a pipe."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown
        self.stack = contextlib.ExitStack()
        self.step = ""
        self.item = ""
        self.bar: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stack.close()

    def show(self, step: str, done: int, total: int, item: str = "") -> None:
        """Show how far a step has come, and what it works on."""
        if not self.shown:
            return
        if step != self.step:
            self.stack.close()
            self.step = step
            self.bar = self.stack.enter_context(
                typer.progressbar(
                    length=max(total, 1),
                    label=f"{step:21}",
                    file=sys.stderr,
                    show_pos=True,
                    item_show_func=lambda _: self.item or None,
                )
            )
        self.item = item
        self.bar.update(done - self.bar.pos)
        self.bar.render_progress()
