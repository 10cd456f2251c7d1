"""Models: file, specification, symbols, generated module, library; and other formats of model files."""

from typing import TYPE_CHECKING, Any

from .identifiability import identifiability
from .library import Model, check_examples, list_models, load_model, model_folder, read_model

if TYPE_CHECKING:
    from .sbml import read_sbml, write_sbml

__all__ = [
    "Model",
    "check_examples",
    "identifiability",
    "list_models",
    "load_model",
    "model_folder",
    "read_model",
    "read_sbml",
    "write_sbml",
]


def __getattr__(name: str) -> Any:
    if name in ("read_sbml", "write_sbml"):  # they need sympy, which a model whose code is kept does without
        from . import sbml

        return getattr(sbml, name)
    raise AttributeError(f"module 'ckinetics.modeling' has no attribute '{name}'")
