#!/bin/sh
# Says which Debian package is missing before `make setup` fails on it.
set -eu
python=${1:-python3}
if ! command -v "$python" >/dev/null; then
    echo "make setup: there is no $python; install it: apt install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "make setup: $("$python" --version) is too old, 3.11 or later is needed; name another one: make setup PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "make setup: $python cannot make virtual environments; install: apt install python3-venv" >&2
    exit 1
fi
