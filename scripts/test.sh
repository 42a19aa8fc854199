#!/usr/bin/env bash
# All checks: style, types, import order, tests. From any folder:
#
#   bash scripts/test.sh [pytest arguments]       e.g.  bash scripts/test.sh tests/core -k cfg
#
# The tests run in two processes; -n 0 among the arguments runs them in this one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh" requirements-dev.txt
cd "$REPOSITORY"

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

step ruff check .
step ruff format --check .
step mypy
step lint-imports --no-logo
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # two processes: more threads would only wait for each other
step pytest -q -n 2 --dist loadfile "$@"
