"""From a path to a readable SBML model, or a sentence: what no model needs is refused before a parser sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

from ...errors import FileFormatError, InputError
from .unsupported import MISSING

MAX_BYTES = 4_000_000
_MAX_DEPTH = 400
_MAX_ELEMENTS = 200_000
# Packages that only say how a model is drawn; any other that is required changes its meaning.
_HARMLESS = {"layout", "render"}
_PACKAGE = re.compile(r"/level3/version\d/(\w+)/version\d")


def libsbml_module() -> Any:
    """Return the module libsbml; refused in one sentence where it is not installed."""
    try:
        import libsbml
    except ImportError:
        raise InputError(MISSING) from None
    return libsbml


def read_document(path: str | Path) -> Any:
    """Return the libsbml document of a file that holds a model.

    The caller keeps the document as long as the model is used: it owns it.

    Raises
    ------
    InputError
        The file cannot be read, or python-libsbml is missing.
    FileFormatError
        It is no XML, has a document type, is too large or nested too deep, or is no SBML model of level 2 or 3.
    """
    libsbml = libsbml_module()
    where = Path(path)
    try:
        with where.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)  # a device has no size, and no end
        if len(raw) > MAX_BYTES:
            raise FileFormatError(f"is larger than {MAX_BYTES} bytes: no model of cells is", file=path)
    except OSError as err:
        raise InputError(f"the SBML file cannot be read: {err.strerror or err}", file=path) from None
    _look_through(raw, path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFormatError("is not UTF-8 text: save it in that encoding", file=path) from None
    document = libsbml.readSBMLFromString(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
    for at in range(document.getNumErrors()):
        fault = document.getError(at)
        if fault.getSeverity() >= libsbml.LIBSBML_SEV_ERROR:
            said = " ".join(fault.getShortMessage().split()) or "unknown fault"
            raise FileFormatError(
                f"line {fault.getLine()}: libsbml cannot read it ({said}): correct the file", file=path
            )
    if document.getModel() is None:
        raise FileFormatError("holds no model", file=path)
    return document


def _look_through(raw: bytes, path: str | Path) -> None:
    """Refuse what is no XML, and what could keep a parser busy without end."""
    depth = elements = 0
    first = True
    parser = expat.ParserCreate()

    def refuse(why: str) -> NoReturn:
        raise FileFormatError(why, file=path)

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements, first
        if first:
            _first_element(name, attributes, refuse)
            first = False
        depth += 1
        elements += 1
        if depth > _MAX_DEPTH:
            refuse(f"line {parser.CurrentLineNumber}: elements are nested deeper than {_MAX_DEPTH}: no model is")
        if elements > _MAX_ELEMENTS:
            refuse(f"has more than {_MAX_ELEMENTS} elements: no model of cells is so large")

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(*_: Any) -> None:
        refuse("has a document type (<!DOCTYPE>), which may hold entities: take it out, SBML needs none")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, ValueError, LookupError) as err:
        if isinstance(err, FileFormatError):
            raise
        raise FileFormatError(f"is not an XML file ({err})", file=path) from None


def _first_element(name: str, attributes: dict[str, str], refuse: Callable[[str], NoReturn]) -> None:
    """Refuse a file that is no SBML of level 2 or 3, or that needs a package."""
    if name.rpartition(":")[2] != "sbml":
        refuse(f"is no SBML file: its first element is <{name}>, not <sbml>")
    if attributes.get("level") not in ("2", "3"):
        refuse(f"is SBML level {attributes.get('level', 'unknown')}: convert it to level 2 or 3")
    for key, value in attributes.items():
        prefix, _, word = key.rpartition(":")
        if word != "required" or not prefix or value not in ("true", "1"):
            continue
        known = _PACKAGE.search(attributes.get(f"xmlns:{prefix}", ""))
        package = known[1] if known else prefix
        if package not in _HARMLESS:
            refuse(f"needs the SBML package '{package}', which changes what equations mean: export it without")
