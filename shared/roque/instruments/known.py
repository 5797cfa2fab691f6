"""The cameras that are known: those that come with roque, those of plug-ins, and the observatory's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from roque.errors import BadInput, NotFound, RoqueError
from roque.frames.frame import Header
from roque.instruments.camera import read_camera
from roque.instruments.description import CameraDescription
from roque.instruments.plugins import plugins

__all__ = ["Known", "cameras", "identify", "known_cameras", "load_camera", "named"]


@dataclass(frozen=True, slots=True)
class Known:
    """Descriptions by the names of their cameras, and what is wrong with those that cannot be used."""

    cameras: dict[str, CameraDescription]
    problems: tuple[RoqueError, ...]


def load_camera(name: str) -> CameraDescription:
    """Description of a camera that comes with roque or a plug-in.

    Raises
    ------
    NotFound
        There is none of that name.
    """
    if name in _shipped():
        return _shipped()[name]
    return named(name, cameras())


def named(name: str, known: Mapping[str, CameraDescription]) -> CameraDescription:
    """Description of a camera out of those that are known.

    Raises
    ------
    NotFound
        There is none of that name.
    """
    try:
        return known[name]
    except KeyError:
        raise NotFound(f"no camera {name!r}", remedy=f"known are {', '.join(sorted(known))}") from None


def cameras(extra_folder: Path | None = None) -> dict[str, CameraDescription]:
    """Read the descriptions that come with roque and plug-ins and, over them, those of a folder (`*.toml`) that can be used."""
    return known_cameras(extra_folder).cameras


def known_cameras(extra_folder: Path | None = None) -> Known:
    """Read descriptions as `cameras` does, and say what is wrong with those that cannot be used."""
    found, brought = dict(_shipped()), plugins()
    problems = list(brought.problems)
    for name, camera in brought.cameras.items():
        if name in found:
            problems.append(BadInput(f"a plug-in has a camera {name} as roque has", remedy="rename that of the plug-in"))
            continue
        found[name] = camera
    own: dict[str, str] = {}
    for described in sorted(extra_folder.glob("*.toml")) if extra_folder else ():
        try:
            camera = read_camera(described.read_bytes(), str(described), brought.sources)
        except BadInput as error:
            problems.append(error)
            continue
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            problems.append(BadInput(f"it cannot be read: {reason}", file=str(described), remedy="see to its rights"))
            continue
        if camera.name in own:
            message = f"{own[camera.name]} describes camera {camera.name} too, and comes first"
            problems.append(BadInput(message, file=str(described), place="entry name", remedy="rename or remove one of them"))
            continue
        own[camera.name] = str(described)
        found[camera.name] = camera
    if extra_folder is not None and not extra_folder.is_dir():
        remedy = "make it, or correct the setting cameras"
        problems.append(BadInput("the folder of cameras is not there", file=str(extra_folder), remedy=remedy))
    return Known(found, tuple(problems))


def identify(header: Header, cameras: Mapping[str, CameraDescription], *, file: str | None = None) -> CameraDescription:
    """Tell which camera wrote a header; of several the one with the most conditions.

    Raises
    ------
    BadInput
        None did, or several did that ask for equally much.
    """
    matching = sorted((c for c in cameras.values() if c.matches(header)), key=lambda c: -len(c.identify))
    if not matching:
        seen = ", ".join(f"{k} = {header[k]!r}" for k in ("INSTRUME", "TELESCOP", "ORIGIN", "DETECTOR") if k in header)
        raise BadInput(
            f"no camera is known that writes such a header ({seen or 'it names neither instrument nor telescope'})",
            file=file,
            place="keyword INSTRUME",
            remedy="correct the header if the camera is known; else put a description of it (TOML) into the folder of cameras",
        )
    if len(matching) > 1 and len(matching[0].identify) == len(matching[1].identify):
        raise BadInput(
            f"cameras {matching[0].name} and {matching[1].name} both claim this header",
            file=file,
            remedy="add conditions to the section 'identify' of their descriptions",
        )
    return matching[0]


@cache
def _shipped() -> dict[str, CameraDescription]:
    folder = resources.files("roque.instruments") / "cameras"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    described = [read_camera(f.read_bytes(), f.name) for f in files]
    return {camera.name: camera for camera in described}
