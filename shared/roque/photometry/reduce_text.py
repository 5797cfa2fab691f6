"""Reduce files as text: sections, keys and values, with the lines they stand on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from roque.errors import BadInput

__all__ = ["Entry", "ReduceFile", "finite", "parse"]

_LONGEST = 80  # characters of a line that messages repeat
_LARGEST = 1 << 53  # whole numbers below it are doubles, too
_YES, _NO = ("yes", "true"), ("no", "false")


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as written, and the line it stands on, from 1."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class ReduceFile:
    """A reduce file whose values have been checked.

    Parameters
    ----------
    name : str or None
        Name of the file, for messages.
    lines : tuple of str
        The text, line by line, as logs repeat it.
    sections : dict of str to dict of str to list of Entry
        Values by section and key, in order; keys such as `plot` have several.
    """

    name: str | None
    lines: tuple[str, ...]
    sections: dict[str, dict[str, list[Entry]]]

    def text(self, section: str, key: str) -> str:
        """Value as written; empty if there is none.

        Raises
        ------
        BadInput
            The key is missing.
        """
        return self.entry(section, key).text

    def entry(self, section: str, key: str) -> Entry:
        """Last value of a key, with its line."""
        entries = self.sections.get(section, {}).get(key)
        if entries:
            return entries[-1]
        if section not in self.sections:
            raise BadInput(
                f"section [{section}] is missing", file=self.name, place=f"[{section}]", remedy="add it, as genred writes it"
            )
        raise BadInput(
            f"{key} is missing", file=self.name, place=f"[{section}] {key}", remedy=f"add a line '{key} = ...' to [{section}]"
        )

    def entries(self, section: str, key: str) -> list[Entry]:
        """All values of a key that may be repeated or missing."""
        return self.sections.get(section, {}).get(key, [])

    def number(self, section: str, key: str) -> float:
        """Value as a number."""
        entry = self.entry(section, key)
        value = finite(entry.text)
        if value is None:
            raise self.wrong(section, key, entry, "a number was expected")
        return value

    def integer(self, section: str, key: str) -> int:
        """Value as a whole number."""
        entry = self.entry(section, key)
        try:
            value = int(entry.text)
        except ValueError:
            value = None
        if value is None or abs(value) >= _LARGEST:
            raise self.wrong(section, key, entry, "a whole number was expected")
        return value

    def flag(self, section: str, key: str) -> bool:
        """Value as yes or no."""
        entry = self.entry(section, key)
        word = entry.text.lower()
        if word not in _YES + _NO:
            raise self.wrong(section, key, entry, "yes or no was expected")
        return word in _YES

    def wrong(self, section: str, key: str, entry: Entry, what: str) -> BadInput:
        """Make the error for a value: what was expected, and where."""
        return BadInput(
            f"{what}, found {_shown(entry.text)}",
            file=self.name,
            place=f"[{section}] {key}, line {entry.line}",
            remedy="correct the line",
        )


def finite(text: str) -> float | None:
    """Number that a text holds; None if it holds none, or one that is not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def parse(text: str, file: str | None) -> ReduceFile:
    """Sections and values of a reduce file, unchecked.

    Raises
    ------
    BadInput
        A line is neither a section nor a value, or a value stands before any section.
    """
    lines = tuple(text.splitlines())
    sections: dict[str, dict[str, list[Entry]]] = {}
    section = None
    for number, line in enumerate(lines, 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        if not content.replace("\t", " ").isprintable():
            what = "a character that is no text"
            raise BadInput(f"{what}: {_shown(content)}", file=file, place=f"line {number}", remedy="correct the line")
        if content.startswith("[") and content.endswith("]"):
            section = content[1:-1].strip()
            sections.setdefault(section, {})
            continue
        key, separator, value = content.partition("=")
        if section is None or not separator:
            what = "a line before any section" if section is None else "neither a section nor 'key = value'"
            raise BadInput(
                f"{what}: {_shown(content)}", file=file, place=f"line {number}", remedy="make it a comment with #, or remove it"
            )
        sections[section].setdefault(key.strip(), []).append(Entry(value.strip(), number))
    return ReduceFile(file, lines, sections)
