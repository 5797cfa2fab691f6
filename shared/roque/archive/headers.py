"""Searching the headers of runs, which the record keeps whole: conditions like ``OBSERVER=Dhillon`` in either database."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, and_, case, cast, false, func, or_
from sqlalchemy.orm import Session

from roque.archive.models import Run
from roque.errors import BadInput

__all__ = ["HeaderTest", "header_condition", "read_header_test"]

_TEST = re.compile(r"\s*([A-Za-z0-9_][A-Za-z0-9_ .-]*?)\s*([=~<>])\s*(.*?)\s*", re.DOTALL)
_TRUE, _FALSE = ("T", "TRUE"), ("F", "FALSE")


@dataclass(frozen=True)
class HeaderTest:
    """What a keyword of a header is to be.

    Parameters
    ----------
    path : tuple of str
        The keyword; of a table within the header, its name and then the keyword.
    sign : str
        '=': the same text, number or truth value; '~': a text with this in it, upper and lower case alike; '<', '>': numbers.
    value : str
    """

    path: tuple[str, ...]
    sign: str
    value: str


def read_header_test(text: str) -> HeaderTest:
    """Read a condition: ``KEYWORD=VALUE``, ``KEYWORD~PART``, ``KEYWORD<NUMBER`` or ``KEYWORD>NUMBER``.

    Raises
    ------
    BadInput
        It is none.
    """
    match = _TEST.fullmatch(text)
    if match is None or not all(match[1].split(".")) or "\0" in text:
        raise BadInput(
            f"{text!r} is no condition on a header",
            remedy="write KEYWORD=VALUE, KEYWORD~PART, KEYWORD<NUMBER or KEYWORD>NUMBER",
        )
    path = tuple(match[1].split("."))
    if match[2] in "<>" and _number(match[3]) is None:
        raise BadInput(f"{match[3]!r} in {text!r} is not a number", remedy="compare texts by = or ~")
    # keywords are written in capitals; those of tables within a header (PARAMETERS, USER) as the camera has them
    return HeaderTest((path[0].upper(), *path[1:]), match[2], match[3])


def header_condition(session: Session, test: HeaderTest) -> ColumnElement[bool]:
    """Give a test as a condition on rows of `Run`; everything of it is a bound parameter."""
    if session.get_bind().dialect.name == "postgresql":
        kind = func.json_typeof(func.json_extract_path(Run.header, *test.path))
        found = func.json_extract_path_text(Run.header, *test.path)
        # a cast of what is no number would end the whole question: only CASE keeps the order
        number = case((kind == "number", cast(found, Double)))
        truth = case((kind == "boolean", found))
        plain = case((kind == "string", found))
    else:
        where = "$" + "".join(f'."{name}"' for name in test.path)
        kind, found = func.json_type(Run.header, where), func.json_extract(Run.header, where)
        number = case((kind.in_(("integer", "real")), cast(found, Double)))
        truth = case((kind.in_(("true", "false")), kind))
        plain = case((kind == "text", found))
    return _condition(test, plain, number, truth)


def _condition(test: HeaderTest, plain: Any, number: Any, truth: Any) -> ColumnElement[bool]:
    value = _number(test.value)
    if test.sign == "~":
        return and_(plain.is_not(None), func.lower(plain).contains(test.value.lower(), autoescape=True))
    if test.sign in "<>" and value is not None:
        return and_(number.is_not(None), number < value if test.sign == "<" else number > value)
    word = test.value.upper()
    return or_(
        func.trim(plain) == test.value,
        number == value if value is not None else false(),
        truth == ("true" if word in _TRUE else "false") if word in (*_TRUE, *_FALSE) else false(),
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
