"""`python -m services.reducer`."""

import sys

from roque.bus.worker import main

main(["--services", "reducer", *sys.argv[1:]])
