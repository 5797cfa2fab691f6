"""How the functions of this folder are compiled, and when what was compiled is out of date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from roque.compiling import njit, typeof

__all__ = ["entry", "inlined", "inner", "kernel"]

F = TypeVar("F", bound=Callable[..., Any])

# a zero in a flat, or a pixel without error, must give inf or nan as in numpy: branches that raise would also keep
# the loops from being vectorised
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
_INNER = _OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: F) -> F:
    """Compile a function without the interpreter's lock, and keep what was compiled on disk."""
    compiled: F = _stamped(njit(**_OPTIONS)(function))
    return compiled


def inner(function: F) -> F:
    """Compile a function that other compiled functions alone call: without the way in from Python, which takes long to make."""
    compiled: F = _stamped(njit(**_INNER)(function))
    return compiled


def inlined(function: F) -> F:
    """Compile a function into its callers, so that their loops can be vectorised."""
    compiled: F = _stamped(njit(**_OPTIONS, inline="always")(function))
    return compiled


def entry(function: Any, *arguments: Any) -> Callable[..., Any]:
    """Compiled code for arguments like these, to be called with others of the very same types: nothing is checked any more."""
    kinds = tuple(typeof(argument) for argument in arguments)  # type: ignore[no-untyped-call]
    function.compile(kinds)
    code: Callable[..., Any] = function.overloads[kinds].entry_point
    return code


def _stamped(dispatcher: Any) -> Any:
    """Let compiled code be out of date when any file of this folder has changed.

    numba looks at the file of a function alone, but what is kept holds the code of all functions that it calls too. The stamp
    goes with numba's version, which is read first: the rest may name what is no longer there.
    """
    file = dispatcher._cache._cache_file  # noqa: SLF001 - there is no public way
    file._version = f"{file._version} {_STAMP}"  # noqa: SLF001
    return dispatcher


def _stamp() -> tuple[tuple[str, int, int], ...]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


_STAMP = _stamp()
