"""Images that several amplifiers read, or that hold overscan: cut into the windows that a camera's description tells."""

from __future__ import annotations

import re

from roque.errors import BadInput
from roque.frames import Box, Geometry
from roque.frames.frame import Header
from roque.instruments.description import Detector
from roque.instruments.rules import Rule

__all__ = ["OVERSCAN", "amplifier_boxes"]

OVERSCAN = "O"
"""What stands behind the label of a window in that of its overscan."""

_SECTION = re.compile(r"\[\s*(\d{1,7})\s*:\s*(\d{1,7})\s*,\s*(\d{1,7})\s*:\s*(\d{1,7})\s*\]")


def amplifier_boxes(header: Header, image: Geometry, detector: Detector, file: str) -> dict[str, Box]:
    """Where the windows of an image are in it.

    Parameters
    ----------
    header : dict
        Of the image.
    image : Geometry
        Of the whole image.
    detector : Detector
        Its amplifiers; without any, the image is one window.
    file : str
        Name for messages.

    Returns
    -------
    dict of str to Box
        '1', '2' ... in the order of the description, and '1O', '2O' ... for the overscan of those that have some.

    Raises
    ------
    BadInput
        A section is missing, or reaches beyond the image.
    """
    if not detector.amplifiers:
        return {"1": Box(0, image.ny, 0, image.nx)}
    boxes = {}
    for number, amplifier in enumerate(detector.amplifiers, 1):
        boxes[str(number)] = _box(amplifier.data, header, image, file)
        if amplifier.overscan is not None:
            boxes[f"{number}{OVERSCAN}"] = _box(amplifier.overscan, header, image, file)
    return boxes


def _box(rule: Rule, header: Header, image: Geometry, file: str) -> Box:
    """Box of a FITS section ``[x1:x2,y1:y2]``: pixels as written, from 1, both ends included."""
    text = rule.needed_text(header, file)
    found = _SECTION.fullmatch(text.strip())
    x1, x2, y1, y2 = (int(number) for number in found.groups()) if found else (0, 0, 0, 0)
    if not (1 <= x1 <= x2 <= image.nx and 1 <= y1 <= y2 <= image.ny):
        keywords = " or ".join(rule.keywords) or "the camera's description"
        raise BadInput(
            f"{text!r} is no section of an image of {image.nx} x {image.ny} pixels",
            file=file,
            place=f"section of an amplifier by {keywords}",
            remedy="correct the header, or the amplifiers in the camera's description",
        )
    return Box(y1 - 1, y2, x1 - 1, x2)
