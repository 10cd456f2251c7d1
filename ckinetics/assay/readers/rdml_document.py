"""Opening an RDML archive from anywhere: sizes are bounded, and declarations of types or entities refused."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from typing import IO, Any
from xml.etree.ElementTree import Element
from xml.parsers import expat

from ...errors import FileFormatError, InputError
from ...workbooks import ZIPS
from ..sources import Source

_MOST_BYTES = 128 * 2**20
_MOST_ELEMENTS = 1_000_000
_MOST_POINTS = 6_000_000  # elements of curves, which are passed over
_MOST_MEMBERS = 1000
_LONGEST_TEXT = 2**20
_DEEPEST = 32
_CHUNK = 2**16
_PASSED_OVER = frozenset({"adp", "mdp", "experimenter", "documentation", "thermalCyclingConditions", "sequences"})
LAST_CYCLE = "last cycle"  # no name of an XML attribute holds a space
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    OverflowError,
)


def open_document(source: Source) -> tuple[str, Element]:
    """Return the RDML document in an archive, or that was never put into one.

    Parameters
    ----------
    source : Source
        A file whose ``archive`` is a zip, or the document.

    Returns
    -------
    tuple of str and Element
        The member's name ("" for a document by itself), and its root element. Names are without namespace. Curves
        and experimenters are left out; the last cycle of a ``data`` element's curve is its attribute `LAST_CYCLE`.

    Raises
    ------
    FileFormatError
        No member or several have the root element ``rdml``, or the archive is damaged, protected or too large.
    """
    raw = source.archive or b""
    try:
        if not raw.startswith(ZIPS):
            return "", _parse(source, io.BytesIO(raw))
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check(source, members)
            roots = {info: _root_of(archive, info) for info in members}
            found = [info for info in members if roots[info] == "rdml"] or [
                info for info in members if roots[info] == "!DOCTYPE"
            ]
            if len(found) != 1:
                number = "no RDML document" if not found else f"{len(found)} RDML documents"
                raise FileFormatError(
                    f"the archive is no workbook and holds {number}: unpack it, or export one plate a file",
                    file=source.path,
                )
            name = " ".join(found[0].filename.split())
            with archive.open(found[0]) as stream:
                return name, _parse(source, stream)
    except InputError:
        raise
    except expat.ExpatError as err:
        raise FileFormatError(
            f"the RDML document is damaged or cut off ({err}): export it again", file=source.path
        ) from None
    except _DAMAGE as err:
        detail = " ".join(str(err).split())[:120]
        raise FileFormatError(f"the archive is damaged ({detail}): export it again", file=source.path) from None


def _check(source: Source, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > _MOST_MEMBERS:
        raise FileFormatError(f"the archive holds {len(members)} files: export one plate a file", file=source.path)
    for info in members:
        if info.flag_bits & 1:
            raise FileFormatError("the archive is protected by a password: save it without one", file=source.path)
        # Other methods may claim gigabytes before the first byte is out.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError("the archive is compressed in an unusual way: save it as plain zip", file=source.path)


class _Found(Exception):  # noqa: N818  ends the parsing, and is no error
    """The root element of a member was seen."""


def _root_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    """Return the local name of a member's root element, "!DOCTYPE" before a declaration, "" for anything else."""

    def see(name: str, *_: Any) -> None:
        raise _Found(name)

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler = see
    parser.StartDoctypeDeclHandler = lambda *_: see("!DOCTYPE")
    try:
        with archive.open(info) as stream:
            parser.Parse(stream.read(_CHUNK), False)
    except _Found as found:
        return str(found).rpartition("}")[2]
    except (expat.ExpatError, LookupError, ValueError, TypeError):
        return ""
    return ""


def _parse(source: Source, stream: IO[bytes]) -> Element:
    builder = _Builder(source)
    size = 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > _MOST_BYTES:
            raise builder.refuse(f"is larger than {_MOST_BYTES >> 20} MB when unpacked")
        builder.parser.Parse(chunk, False)
        # What is not complete is looked at again with every chunk.
        if size - builder.parser.CurrentByteIndex > _LONGEST_TEXT:
            raise builder.refuse(f"has a tag of more than {_LONGEST_TEXT >> 20} MB")
    builder.parser.Parse(b"", True)
    return builder.root


class _Builder:
    """Builds the tree of a document without its curves, of which the last cycle is kept."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.root = Element("rdml")
        self.stack: list[Element] = []
        self.text: list[str] = []
        self.length = 0
        self.passing = 0
        self.elements = self.points = 0
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._doctype

    def refuse(self, what: str) -> FileFormatError:
        return FileFormatError(
            f"the RDML document {what}, as no export is: check where it is from", file=self.source.path
        )

    def _doctype(self, *_: Any) -> None:
        raise self.refuse("declares a document type or entities")

    def _characters(self, text: str) -> None:
        self.length += len(text)
        if self.length > _LONGEST_TEXT:
            raise self.refuse(f"has a text of more than {_LONGEST_TEXT >> 20} MB")
        self.text.append(text)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._forget()
        tag = name.rpartition("}")[2]
        if self.passing:
            self.points += 1
        else:
            self.elements += 1
        if len(self.stack) + self.passing >= _DEEPEST:
            raise self.refuse("nests too deeply")
        if self.elements > _MOST_ELEMENTS or self.points > _MOST_POINTS:
            raise self.refuse("has too many elements")
        if self.passing or tag in _PASSED_OVER:
            self.passing += 1
            return
        element = Element(tag, attributes)
        if self.stack:
            self.stack[-1].append(element)
        else:
            self.root = element
        self.stack.append(element)

    def _forget(self) -> None:
        self.text.clear()
        self.length = 0

    def _end(self, name: str) -> None:
        text = "".join(self.text)
        self._forget()
        if not self.passing:
            element = self.stack.pop()
            if not len(element):
                element.text = text.strip()
            return
        self.passing -= 1
        if self.passing == 1 and name.rpartition("}")[2] == "cyc" and re.fullmatch(r"\s*\d{1,4}(\.0*)?\s*", text):
            data, cycle = self.stack[-1], int(float(text))
            if cycle > int(data.get(LAST_CYCLE, "0")):
                data.set(LAST_CYCLE, str(cycle))
