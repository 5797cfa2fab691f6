"""Sources of frames: raw files of every format, lists, described FITS files."""
