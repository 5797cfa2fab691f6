"""One folder per process that an operator can see."""
