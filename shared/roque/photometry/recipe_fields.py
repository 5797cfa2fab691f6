"""Dataclasses from plain dictionaries, with errors that name the key."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from roque.errors import BadInput

__all__ = ["above", "between", "build", "each", "factors", "least", "one_of", "subset"]

_LARGEST = sys.float_info.max  # NaN is not below it, nor is a whole number that no double holds
_LONGEST = 80  # characters of a value that messages repeat

Check = Callable[[Any], str | None]
"""Says what was expected if a value is not allowed."""


def above(limit: float) -> dict[str, Check]:
    """Allow numbers above a limit."""
    return {"check": lambda v: None if v > limit else f"a number above {limit:g}"}


def least(limit: float) -> dict[str, Check]:
    """Allow numbers from a limit on."""
    return {"check": lambda v: None if v >= limit else f"a number of at least {limit:g}"}


def between(low: float, high: float, *, open_below: bool = False) -> dict[str, Check]:
    """Allow numbers between limits, the upper one included."""
    words = f"a number {'above' if open_below else 'from'} {low:g} to {high:g}"
    return {"check": lambda v: None if (low < v if open_below else low <= v) and v <= high else words}


def one_of(*words: str) -> dict[str, Check]:
    """Allow some words alone."""
    return {"check": lambda v: None if v in words else f"one of {', '.join(words)}"}


def subset(*words: str) -> dict[str, Check]:
    """Allow sequences of some words alone."""
    return {"check": lambda v: None if set(v) <= set(words) else f"words out of {', '.join(words)}"}


def factors(most: int) -> dict[str, Check]:
    """Allow a number of positive numbers, none of them twice."""
    words = f"at most {most} different numbers above 0"
    return {"check": lambda v: None if len(set(v)) == len(v) <= most and all(x > 0 for x in v) else words}


def each(metadata: Mapping[str, Check]) -> dict[str, Check]:
    """Allow mappings whose every value is allowed."""
    check = metadata["check"]
    return {"check": lambda v: next((said for said in map(check, v.values()) if said), None)}


def build(cls: Any, values: Any, path: str) -> Any:
    """Make a dataclass from a mapping of its fields, and those that it is made of from theirs.

    Raises
    ------
    BadInput
        A field is missing or unknown, of another type or not allowed.
    """
    if not isinstance(values, Mapping):
        raise _wrong(path or "the recipe", "a table of parameters", values)
    hints = typing.get_type_hints(cls)
    unknown = [key for key in values if key not in hints]
    if unknown:
        raise BadInput("no parameter has this name", place=_join(path, unknown[0]), remedy="remove it")
    made = {}
    for field in dataclasses.fields(cls):
        name = _join(path, field.name)
        if field.name not in values:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise BadInput("the parameter is missing", place=name, remedy="give it")
            continue
        value = _convert(hints[field.name], values[field.name], name)
        expected = field.metadata["check"](value) if "check" in field.metadata and value is not None else None
        if expected:
            raise _wrong(name, expected, values[field.name])
        made[field.name] = value
    return cls(**made)


def _convert(hint: Any, value: Any, name: str) -> Any:
    """Value as the type of a field; whole numbers pass for real ones, nothing else for anything else."""
    if dataclasses.is_dataclass(hint):
        return build(hint, value, name)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(name, "a table", value)
        return {str(key): _convert(arguments[1], item, _join(name, str(key))) for key, item in value.items()}
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _wrong(name, "a list", value)
        return tuple(_convert(arguments[0], item, name) for item in value)
    if origin is types.UnionType:
        return None if value is None else _convert(arguments[0], value, name)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in {bool, str} and isinstance(value, hint):
        return value
    raise _wrong(name, {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}[hint], value)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _wrong(name: str, expected: str, value: Any) -> BadInput:
    found = repr(value)
    found = found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."
    return BadInput(f"{expected} was expected, found {found}", place=name, remedy="correct the value")
