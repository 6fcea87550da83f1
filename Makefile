# The same few verbs by hand and in CI. `make` alone lists them.
BIN := .venv/bin
SOURCES := chatbot responder drills bench scripts rules

.DEFAULT_GOAL := help
.PHONY: help demo chat test prove check format bench fuzz drill docs lock clean

help: ## list the verbs
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

demo: run-setup ## the main job, live: a fault, the alert, the runbook's steps, the page, the cure, the post-mortem
	@$(BIN)/drill demo $(DRILL_ARGS)

chat: run-setup ## the chatbot alone: a link by which you give it a document and ask
	@$(BIN)/drill chat $(DRILL_ARGS)

drill: run-setup ## one drill, scored: make drill ALERT=HighErrorRate
	@$(BIN)/drill run $(or $(ALERT),HighErrorRate) $(DRILL_ARGS)

test: dev-setup ## every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

prove: dev-setup ## what takes minutes: random proofs of isolation, a month replayed over the rules, dashboards with data
	$(BIN)/python -m pytest --hypothesis-profile=prove chatbot/tests/test_no_foreign_byte_is_ever_given_out.py \
		chatbot/tests/test_the_openapi_document_tells_the_truth.py
	cd rules && ../$(BIN)/python -m replay
	$(BIN)/python scripts/prove_dashboards.py
	$(BIN)/python scripts/write_docs.py

check: dev-setup ## format, lint, types, imports
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: dev-setup ## put the code into its format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: dev-setup ## the measured comparisons; results are kept in bench/results/
	$(BIN)/python -m bench

fuzz: dev-setup ## search for Markdown that breaks the reader: make fuzz SECONDS=600 (fetches atheris, which no lock holds)
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --disable-pip-version-check -q atheris
	$(BIN)/python scripts/fuzz_reader.py -max_total_time=$(or $(SECONDS),600)

docs: dev-setup ## write again the generated parts of docs/
	$(BIN)/python scripts/write_docs.py

lock: dev-setup ## resolve the dependencies again
	scripts/lock

clean: ## remove the local stack's files and what building made
	@if [ -f .stack/elsewhere ]; then rm -rf "$$(cat .stack/elsewhere)"; fi
	rm -rf .stack .pytest_cache .ruff_cache .hypothesis build dist

.PHONY: run-setup dev-setup
run-setup:
	@scripts/setup run
	@scripts/system-packages run
dev-setup:
	@scripts/setup dev
	@scripts/system-packages test
