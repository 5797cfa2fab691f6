"""What a parameter of a HiPERCAM command is, and how its value is found among the words of a command line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click

from roque.errors import NotFound

__all__ = [
    "FLAG",
    "NUMBER",
    "NUMBERS",
    "TEXT",
    "WHOLE",
    "Kind",
    "Parameter",
    "Resolved",
    "Values",
    "in_file",
    "out_file",
    "resolve",
]

Values = dict[str, Any]
"""Values by the names of their parameters, in the order in which the command asks for them."""

WORDS = ("list", "prompt", "nodefs")
"""Words that may stand anywhere: tell all values; bare values include hidden parameters; neither read nor write memory."""

_NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_DEFAULTS = "\\"
_YES, _NO = {"true", "yes", "y", "1"}, {"false", "no", "n", "0"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a parameter takes.

    Parameters
    ----------
    wanted : str
        In words.
    read : callable
        Value from text; raises ValueError if it is none.
    """

    wanted: str
    read: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a command.

    Parameters
    ----------
    name : str
        As typed.
    kind : Kind
        What values it takes.
    default : value or callable
        Taken where the command line says nothing: a value, a text that `kind` reads, or what gives one of them from the
        values of the parameters before.
    meaning : str
        In a few words, for the help.
    hidden : bool
        Whether it can be set by name alone.
    least, most : number or callable, optional
        Limits, or what gives them from the values before.
    choices : tuple of str
        The only texts allowed; empty: any.
    when : callable, optional
        Whether it matters, by the values before; it always does if this is not given.
    """

    name: str
    kind: Kind
    default: Any
    meaning: str
    hidden: bool = False
    least: float | Callable[[Values], float] | None = None
    most: float | Callable[[Values], float] | None = None
    choices: tuple[str, ...] = ()
    when: Callable[[Values], bool] | None = None


class Resolved(NamedTuple):
    """Values of a command line, and whether it asked to be told them."""

    values: Values
    told: bool


def resolve(parameters: Sequence[Parameter], words: Sequence[str]) -> Resolved:
    """Find the value of each parameter: by its name, else the next bare value, else its default.

    Parameters
    ----------
    parameters : sequence of Parameter
        In the order in which bare values are taken.
    words : sequence of str
        ``name=value``, bare values, the words of `WORDS`, or a backslash: the defaults for all that follows.

    Raises
    ------
    click.UsageError
        An unknown name, a value that is not allowed, or more bare values than parameters.
    NotFound
        A file that is to be read does not exist.
    """
    named, bare = _sort(parameters, words)
    with_hidden, defaults = "prompt" in words, False
    values: Values = {}
    for parameter in parameters:
        if parameter.when is not None and not parameter.when(values):
            continue
        text = named.get(parameter.name)
        if text is None and bare and not defaults and (with_hidden or not parameter.hidden):
            text = bare.pop(0)
        if text == _DEFAULTS:
            defaults, text = True, None
        values[parameter.name] = _default(parameter, values) if text is None else _value(parameter, text, values)
    if bare and bare != [_DEFAULTS]:
        raise click.UsageError(f"{bare[0]!r} is left over: no parameter takes it; write name=value")
    return Resolved(values, "list" in words)


def in_file(extension: str, *, none: bool = False) -> Kind:
    """A file to read, which must exist; with `none` the word 'none' says that there is none."""

    def read(text: str) -> Path | None:
        if none and text == "none":
            return None
        path = _with_extension(text, extension)
        if not path.is_file():
            remedy = "name one that exists" + (", or say none" if none else "")
            raise NotFound("no such file", file=str(path), remedy=remedy)
        return path

    return Kind(f"a file ({extension}){', or none' if none else ''}", read)


def out_file(extension: str) -> Kind:
    """A file to write."""
    return Kind(f"a file ({extension})", lambda text: _with_extension(text, extension))


def _with_extension(text: str, extension: str) -> Path:
    if not text:
        raise ValueError
    return Path(text if text.endswith(extension) else text + extension)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _flag(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError
    return text.lower() in _YES


TEXT = Kind("a text", lambda text: "" if text == "''" else text)
WHOLE = Kind("a whole number", int)
NUMBER = Kind("a number", _number)
NUMBERS = Kind("numbers, separated by blanks", lambda text: [_number(word) for word in text.split()])
FLAG = Kind("yes or no", _flag)


def _sort(parameters: Sequence[Parameter], words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Values with names, and those without."""
    known = {parameter.name for parameter in parameters}
    named: dict[str, str] = {}
    bare: list[str] = []
    for word in words:
        match = _NAMED.fullmatch(word)
        if match is None:
            if word.startswith("--"):
                raise click.UsageError(f"there is no option {word}")
            bare += [] if word in WORDS else [word]
        elif match[1] not in known:
            names = ", ".join(parameter.name for parameter in parameters) or "none"
            raise click.UsageError(f"there is no parameter {match[1]!r}; its parameters are {names}")
        elif match[1] in named:
            raise click.UsageError(f"{match[1]} is given twice")
        else:
            named[match[1]] = match[2]
    return named, bare


def _default(parameter: Parameter, values: Values) -> Any:
    value = parameter.default(values) if callable(parameter.default) else parameter.default
    return _value(parameter, value, values) if isinstance(value, str) else value


def _value(parameter: Parameter, text: str, values: Values) -> Any:
    least, most = (limit(values) if callable(limit) else limit for limit in (parameter.least, parameter.most))
    limits = {"min": least, "max": most}
    if limits.get(text) is not None:
        return limits[text]
    try:
        value = parameter.kind.read(text)
    except ValueError:
        raise click.UsageError(f"{parameter.name}={text}: {parameter.kind.wanted} is needed") from None
    except NotFound as error:
        error.place = f"parameter {parameter.name}"
        raise
    if parameter.choices and value not in parameter.choices:
        raise click.UsageError(f"{parameter.name}={text}: one of {', '.join(parameter.choices)} is needed")
    if least is not None and value < least:
        raise click.UsageError(f"{parameter.name}={text}: it must be at least {least:g}")
    if most is not None and value > most:
        raise click.UsageError(f"{parameter.name}={text}: it must be at most {most:g}")
    return value
