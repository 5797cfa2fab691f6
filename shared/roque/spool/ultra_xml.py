"""The .xml of a ULTRACAM or ULTRASPEC run, parsed without trust.

No entities, and bounds on bytes, elements and depth: whatever the file holds, the answer comes soon and in little memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from roque.errors import BadInput
from roque.frames.handle import OpenFile
from roque.instruments.ultra import UltraHeader

__all__ = ["parse_ultra_xml", "read_ultra_xml"]

_MOST_BYTES = 1 << 20  # real ones have three thousand
_MOST_ELEMENTS = 10_000
_DEEPEST = 50
_COPY_AGAIN = "copy the .xml again from the camera"


@dataclass(slots=True)
class _Element:
    name: str
    attributes: dict[str, str]
    children: list[_Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts).strip()

    def below(self, name: str) -> Iterator[_Element]:
        """Elements of a name anywhere below this one, in the order of the file."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.below(name)


def read_ultra_xml(path: str, file: str) -> UltraHeader:
    """Read a .xml.

    Parameters
    ----------
    path : str
        The file.
    file : str
        Name for error messages.

    Raises
    ------
    BadInput
        It is no XML, it holds entities, it is larger than any run's, or something a run needs is missing.
    NotFound
        There is no such file.
    """
    with OpenFile(path, file) as opened:
        if opened.size > _MOST_BYTES:
            raise BadInput(
                f"{opened.size} bytes: a run's .xml has a few thousand",
                file=file,
                place=f"byte {_MOST_BYTES}",
                remedy=_COPY_AGAIN,
            )
        return parse_ultra_xml(opened.read(0, _MOST_BYTES), file)


def parse_ultra_xml(data: bytes, file: str) -> UltraHeader:
    """Parse a .xml; parameters and errors as for `read_ultra_xml`."""
    root = _Parser(file).parse(data)

    def need(parent: _Element, name: str) -> _Element:
        found = next(parent.below(name), None)
        if found is None:
            raise BadInput(f"element {name} is missing", file=file, place=f"element {name}", remedy=_COPY_AGAIN)
        return found

    def attribute(element: _Element, name: str) -> str:
        if name not in element.attributes:
            raise BadInput(
                f"attribute {name} of {element.name} is missing", file=file, place=f"attribute {name}", remedy=_COPY_AGAIN
            )
        return element.attributes[name]

    data_status = need(root, "data_status")
    status = need(root, "instrument_status")
    application = next((a for a in status.below("application_status") if a.attributes.get("id") == "SDSU Exec"), None)
    if application is None:
        raise BadInput(
            "no application_status with the id SDSU Exec", file=file, place="element application_status", remedy=_COPY_AGAIN
        )
    parameters = {attribute(p, "name"): attribute(p, "value") for p in status.below("parameter_status")}
    return UltraHeader(
        file=file,
        frame_bytes=attribute(data_status, "framesize"),
        header_words=attribute(need(data_status, "header_status"), "headerwords"),
        instrument=need(status, "name").text,
        application=attribute(application, "name"),
        parameters=parameters,
        user=_user(next(root.below("user"), None)),
    )


def _user(element: _Element | None) -> dict[str, str] | None:
    """What the observer entered. What makes no sense counts as no entry at all, which also sets the unit of time."""
    if element is None:
        return None
    found = {child.name: child.text for child in element.children if child.text}
    blank = any(child.name == "SlidePos" and child.texts and not child.text for child in element.children)
    if "SlidePos" in found:
        found["SlidePos"] = found["SlidePos"].split()[0]
    revision = found.get("revision")
    return None if blank or (revision is not None and not revision.removeprefix("-").isdecimal()) else found


class _Parser:
    """A tree from expat's events, counted."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._root = _Element("", {})
        self._open = [self._root]
        self._count = 0
        self._expat = expat.ParserCreate()
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._text
        self._expat.EntityDeclHandler = self._entity
        self._expat.UnparsedEntityDeclHandler = self._entity
        self._expat.ExternalEntityRefHandler = self._entity
        self._expat.SkippedEntityHandler = self._entity

    def parse(self, data: bytes) -> _Element:
        try:
            self._expat.Parse(data, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise self._wrong(f"not XML: {error}") from None
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MOST_ELEMENTS or len(self._open) > _DEEPEST:
            raise self._wrong(f"more than {_MOST_ELEMENTS} elements, or more than {_DEEPEST} inside each other")
        element = _Element(name, attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def _entity(self, *_: object) -> NoReturn:
        raise self._wrong("it declares entities, which no run does")

    def _wrong(self, message: str) -> BadInput:
        return BadInput(message, file=self._file, place=f"byte {max(0, self._expat.CurrentByteIndex)}", remedy=_COPY_AGAIN)
