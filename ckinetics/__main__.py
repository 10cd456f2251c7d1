"""``python -m ckinetics``."""

from .cli import main

main()
