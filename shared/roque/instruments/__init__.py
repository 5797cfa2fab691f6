"""One module or table per instrument: geometry, gain, limits, header rules, filters."""

from roque.instruments.camera import CameraDescription, Detector, HeaderRules, Site, cameras, identify, load_camera

__all__ = ["CameraDescription", "Detector", "HeaderRules", "Site", "cameras", "identify", "load_camera"]
