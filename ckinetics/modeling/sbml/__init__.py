"""SBML in and out: a file's model as the text of a model file, and a model as an SBML file."""

from .exporting import sbml_text, write_sbml
from .importing import read_sbml

__all__ = ["read_sbml", "sbml_text", "write_sbml"]
