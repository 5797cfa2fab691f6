"""`python -m services.calibrator`."""

import sys

from roque.bus.worker import main

main(["--services", "calibrator", *sys.argv[1:]])
