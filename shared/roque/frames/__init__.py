"""What an exposure is: windows of pixels on the CCDs of a frame; hcm files; arithmetic."""

from roque.frames.frame import CCD, Frame
from roque.frames.window import Box, Geometry, Pixels, Window

__all__ = ["CCD", "Box", "Frame", "Geometry", "Pixels", "Window"]
