"""One module or table per instrument: geometry, gain, limits, header rules, filters."""

from roque.instruments.description import CameraDescription, Detector, HeaderRules, Site
from roque.instruments.known import Known, cameras, identify, known_cameras, load_camera
from roque.instruments.plugins import Instrument, Reader

__all__ = [
    "CameraDescription",
    "Detector",
    "HeaderRules",
    "Instrument",
    "Known",
    "Reader",
    "Site",
    "cameras",
    "identify",
    "known_cameras",
    "load_camera",
]
