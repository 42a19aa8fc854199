# Short names for the scripts; each also works without make.
.PHONY: help set-up demo test test-fast lint docs house wheel

help: ## show these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

set-up: ## create .venv with everything the tests need
	bash -c 'source scripts/venv.sh requirements-dev.txt'

demo: ## the whole job on a dataset generated in seconds
	bash scripts/demo.sh

test: ## style, types, import order, all tests
	bash scripts/test.sh

test-fast: ## the tests without torch
	bash -c 'source scripts/venv.sh requirements-dev.txt && pytest -q -x tests/core'

lint: ## style, types, import order
	bash scripts/lint.sh

docs: ## generate docs/cli.md and docs/house.svg from the code
	bash -c 'source scripts/venv.sh requirements-dev.txt && python -m scripts.cli_docs && python -m scripts.house_picture'

house: ## figures of the code
	bash -c 'source scripts/venv.sh requirements-dev.txt && python -m scripts.house'

wheel: ## build the wheel into dist/
	bash -c 'source scripts/venv.sh requirements-dev.txt && python -m pip wheel --no-deps --wheel-dir dist .'
