#!/usr/bin/env bash
# Style, types and import order, without the tests. With a name, only that check (as the pre-commit hooks do).
#
#   bash scripts/lint.sh [ruff | format | mypy | imports]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh" requirements-dev.txt
cd "$REPOSITORY"

lint() {
    case $1 in
        ruff) ruff check . ;;
        format) ruff format --check . ;;
        mypy) mypy ;;
        imports) lint-imports --no-logo ;;
        *)
            echo "$1: no such check; choose ruff, format, mypy or imports" >&2
            return 2
            ;;
    esac
}

if [ $# = 0 ]; then set -- ruff format mypy imports; fi
for name; do lint "$name"; done
