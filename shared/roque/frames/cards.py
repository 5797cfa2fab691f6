"""Headers of FITS files: cards of 80 characters to a plain dict.

A raw HiPERCAM header has thousands of HIERARCH cards, and every job that opens a run reads it. astropy's `Header` takes some
20 times longer over it, and raises errors of many types on damaged ones; this reader raises `BadInput` alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from roque.errors import BadInput
from roque.frames.frame import Header

__all__ = ["BLOCK", "HeaderBlock", "format_header", "parse_header", "read_header"]

BLOCK = 2880
"""Bytes of a FITS block: headers and data end on a multiple of it."""

_CARD = 80
_KEPT = 1 << 18  # bytes of headers that are remembered, at most
_LARGEST = 4 << 20  # bytes; the longest real headers stay below 1 MiB, and a damaged file must not be read to its end
_REMARKS = ("COMMENT", "HISTORY", "")
_NUMBER = re.compile(r"[+-]?(\d+)$|[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?$")
_STRING = re.compile(r"\s*'((?:[^']|'')*)'")
_CONTROL = re.compile(r"[^\x20-\x7e]")
_SHORT = re.compile(r"[A-Z0-9_-]{1,8}$")


@dataclass(slots=True)
class HeaderBlock:
    """A header and where it stands.

    Parameters
    ----------
    header : dict
        Keyword to value: str, int, float, bool or None (undefined). COMMENT and HISTORY hold lists of lines. Names of
        HIERARCH keywords are as written, without the word HIERARCH. Of a repeated keyword the first value is kept.
    size : int
        Bytes of the header, blocks included: data start here, counted from the start of the header.
    repeated : dict of str to int
        Keywords that are repeated with another value, and the byte of the card, from the start of the header.
    """

    header: Header = field(default_factory=dict)
    size: int = 0
    repeated: dict[str, int] = field(default_factory=dict)


def read_header(read: Callable[[int, int], bytes], offset: int = 0, *, file: str | None = None) -> HeaderBlock:
    """Read the header that starts at a byte.

    Parameters
    ----------
    read : callable
        ``read(offset, size)`` gives bytes, fewer at the end of the file.
    offset : int
        Where the header starts.
    file : str or None
        Name for error messages.

    Returns
    -------
    HeaderBlock

    Raises
    ------
    BadInput
        Not FITS, cut short, longer than any header is, or with a card that cannot be understood.
    """
    first = read(offset, BLOCK)
    expected = b"SIMPLE  =" if offset == 0 else b"XTENSION="
    if not first.startswith(expected):
        raise BadInput(
            f"not a FITS file{_looks(first)}" if offset == 0 else "no FITS extension where one should start",
            file=file,
            place=f"byte {offset}",
            remedy="remove it from the data folder, or copy it again from the camera",
        )
    text = first
    while (end := _find_end(text)) < 0:
        more = read(offset + len(text), 16 * BLOCK) if len(text) % BLOCK == 0 else b""
        if not more or len(text) > _LARGEST:
            raise BadInput(
                "the header has no END card",
                file=file,
                place=f"byte {offset + len(text)}",
                remedy="the file is cut short or damaged: copy it again from the camera",
            )
        text += more
    block = parse_header(text[: end * _CARD], file=file, offset=offset)
    block.size = -(-(end + 1) * _CARD // BLOCK) * BLOCK
    return block


def parse_header(cards: bytes, *, file: str | None = None, offset: int = 0) -> HeaderBlock:
    """Parse cards, END left out.

    Parameters
    ----------
    cards : bytes
        A multiple of 80 bytes.
    file : str or None
        Name for error messages.
    offset : int
        Byte of the first card in the file, for error messages.

    Returns
    -------
    HeaderBlock
        `size` is left 0.

    Raises
    ------
    BadInput
        A card that has a value indicator and no value that can be understood.
    """
    if len(cards) > _KEPT:
        return _parse(cards, file, offset)
    try:
        kept = _parse_and_keep(cards)
    except BadInput:
        return _parse(cards, file, offset)  # says where
    header = {keyword: list(value) if isinstance(value, list) else value for keyword, value in kept.header.items()}
    return HeaderBlock(header, 0, dict(kept.repeated))


@lru_cache(maxsize=4)
def _parse_and_keep(cards: bytes) -> HeaderBlock:
    """Keep the last headers: a file that is told, opened and registered is read three times in a row."""
    return _parse(cards, None, 0)


def _parse(cards: bytes, file: str | None, offset: int) -> HeaderBlock:
    text = cards.decode("latin-1")
    block = HeaderBlock()
    header, previous = block.header, ""
    for start in range(0, len(text), _CARD):
        card = text[start : start + _CARD]
        if card[:8].rstrip() in _REMARKS:
            _remark(header, card)
            continue
        if card[8:10] == "= ":
            keyword, rest = card[:8].rstrip(), card[10:]
        elif card.startswith("HIERARCH "):
            keyword, _, rest = card[9:].partition("=")
            keyword = keyword.strip()
        elif card.startswith("CONTINUE  "):
            _continue(header, previous, card[10:])
            continue
        else:
            continue  # neither value nor remark: nothing can be read from it
        value = _value(rest, keyword, file, offset + start)
        keyword = previous = _CONTROL.sub("?", keyword)
        if keyword not in header:
            header[keyword] = value
        elif header[keyword] != value:
            block.repeated.setdefault(keyword, start)
    return block


def format_header(header: Header, comments: Mapping[str, str] | None = None) -> bytes:
    """Write cards, END and padding.

    Parameters
    ----------
    header : dict
        Keyword to value: str, int, float, bool, None, numpy scalars; for COMMENT and HISTORY lists of lines. Keywords that
        FITS has no room for become HIERARCH cards. NaN and infinity, which FITS has no notation for, are left undefined.
    comments : mapping of str to str, optional
        What to say behind the values of some keywords, as far as there is room.

    Returns
    -------
    bytes
        A multiple of 2880.
    """
    cards: list[str] = []
    comments = comments or {}
    for keyword, value in header.items():
        if keyword in _REMARKS:
            lines = value if isinstance(value, list) else [str(value)]
            cards += [
                f"{keyword:<8}{_CONTROL.sub('?', line[i : i + 72])}" for line in lines for i in range(0, max(1, len(line)), 72)
            ]
        else:
            text = isinstance(value, str)
            several = _string_cards(keyword, _CONTROL.sub("?", value)) if text else [_card(keyword, _literal(value))]
            if keyword in comments and len(several) == 1:
                several = [f"{several[0]:<30} / {_CONTROL.sub('?', comments[keyword])}"[:_CARD]]
            cards += several
    written = "".join(card.ljust(_CARD) for card in [*cards, "END"]).encode("ascii")
    return written.ljust(-(-len(written) // BLOCK) * BLOCK)


def _literal(value: Any) -> str:
    """Write a number or a logical as FITS does."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return f"{'FT'[value]:>20}"
    return f"{repr(value).upper():>20}"


def _card(keyword: str, literal: str) -> str:
    """Join keyword and literal in one card."""
    if _SHORT.match(keyword):
        return f"{keyword:<8}= {literal}"
    card = f"HIERARCH {keyword} = {literal.strip()}"
    if len(card) > _CARD:
        raise ValueError(f"keyword {keyword!r} and its value do not fit in a FITS card")
    return card


def _string_cards(keyword: str, value: str) -> list[str]:
    """One card, or several with CONTINUE, for a text."""
    quoted = value.replace("'", "''")
    if not _SHORT.match(keyword):
        return [_card(keyword, f"'{quoted}'")]
    if len(quoted) <= 68:
        return [_card(keyword, f"'{quoted:<8}'")]
    pieces = [value[i : i + 33].replace("'", "''") for i in range(0, len(value), 33)]  # quotes may double a piece
    return [_card(keyword, f"'{pieces[0]}&'")] + [
        f"CONTINUE  '{piece}{'&' if i < len(pieces) - 1 else ''}'" for i, piece in enumerate(pieces[1:], start=1)
    ]


def _looks(first: bytes) -> str:
    """What a file looks like that is not FITS, where that tells what happened to it."""
    if not first:
        return ": it is empty"
    return ": it begins with zeros, as files do that were never written in full" if not first.strip(b"\0") else ""


def _find_end(text: bytes) -> int:
    """Index of the END card, or -1."""
    at = -1
    while (at := text.find(b"END     ", at + 1)) >= 0:
        if at % _CARD == 0:
            return at // _CARD
    return -1


def _value(rest: str, keyword: str, file: str | None, byte: int) -> Any:
    """Value of a card from what follows its value indicator."""
    if string := _STRING.match(rest):
        return _CONTROL.sub("?", string[1].replace("''", "'").rstrip())
    word = rest.partition("/")[0].strip()
    if word in {"T", "F"}:
        return word == "T"
    if number := _NUMBER.match(word):
        if number[1]:
            return int(word)
        value = float(word.replace("D", "E").replace("d", "e"))
        if math.isfinite(value):
            return value
    if not word:
        return None
    if word[0] == "'":
        raise BadInput(
            f"keyword {keyword!r} has a string without end",
            file=file,
            place=f"byte {byte}",
            remedy="the header is damaged: copy the file again from the camera",
        )
    # cameras write dates, times and complex numbers without quotes: they stay text
    return _CONTROL.sub("?", word)


def _continue(header: Header, keyword: str, rest: str) -> None:
    """Append a CONTINUE card to the string before it, which ends in '&'."""
    value, string = header.get(keyword), _STRING.match(rest)
    if isinstance(value, str) and value.endswith("&") and string:
        header[keyword] = value[:-1] + _CONTROL.sub("?", string[1].replace("''", "'").rstrip())


def _remark(header: Header, card: str) -> None:
    """Keep a COMMENT or HISTORY card; blank cards carry nothing."""
    if keyword := card[:8].rstrip():
        header.setdefault(keyword, []).append(_CONTROL.sub("?", card[8:].rstrip()))
