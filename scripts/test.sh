#!/usr/bin/env bash
# All checks: style, types, import order, tests. From any folder:
#
#   bash scripts/test.sh [pytest arguments]       e.g.  bash scripts/test.sh tests/core -k cfg
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
step pytest -q "$@"
