"""`python -m services.exporter`."""

import sys

from roque.bus.worker import main

main(["--services", "exporter", *sys.argv[1:]])
