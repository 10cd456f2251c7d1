"""Real patients carried with the package, with their source and their caveats."""

from .load import load_example

__all__ = ["load_example"]
