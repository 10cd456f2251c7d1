"""Models: file, specification, symbols, generated module, library."""

from .identifiability import identifiability
from .library import Model, check_examples, list_models, load_model, model_folder, read_model
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
