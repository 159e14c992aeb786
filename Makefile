# make lab      open the course in JupyterLab
# make check    what to run while you work: lint and the quick tests, in a minute
# make test     everything that must pass
# make execute  run the notebooks from the top and store their outputs
# make serve    the playground and the lessons as pages with live sliders, by Voila
# make site     the web site of the course, in _site/index.html
# make gpu      everything we want to know from a GPU: make gpu TEXT=the classic Shakespeare file
# Each builds .venv the first time, or adds to it, and again only when the pins change. No make? See "Set-up" in README.md.

PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
TOOLS  := .venv/.ready-dev
CORPUS := data/data-by-char/meta.json
GPT2   := data/gpt2/tokenizer.json
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2
PYTEST  := pytest --dist loadfile --no-loadscope-reorder
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

# The tools of .venv come first, as in an activated environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)

# One torch thread: with two, a busy neighbour on one of two cores makes a step ten times slower (EXPERIMENTS.md).
execute: export OMP_NUM_THREADS ?= 1

.PHONY: lab check test execute site serve gpu clean

# A notebook that is not trusted shows text in the place of labs and quizzes when it is opened again.
lab: $(CORPUS) $(GPT2)
	jupyter trust notebooks/*.ipynb > /dev/null
	jupyter lab $(AS_ROOT) notebooks/03_training.ipynb

check: $(TOOLS) $(CORPUS)
	ruff check .
	ruff format --check .
	$(PYTEST) -n $(WORKERS) -m "not slow"

# One worker more than for `check`: the one with the browser mostly waits.
test: $(TOOLS) $(CORPUS)
	ruff check .
	ruff format --check .
	$(PYTEST) -n $$(($(WORKERS) + 1)) --nbval tests notebooks

execute: $(TOOLS) $(CORPUS)
	python tests/execute_notebooks.py notebooks/*.ipynb

# A kernel that has run the playground waits for the next visitor; lessons begin to run when they are opened.
POOLS := '{"playground.ipynb": {"pool_size": 1}, "default": {"pool_size": 0}}'
serve: $(TOOLS) $(CORPUS)
	(sleep 5; python -m webbrowser http://localhost:8866/voila/render/playground.ipynb) &
	voila --no-browser --port=8866 --preheat_kernel=True --VoilaKernelManager.kernel_pools_config=$(POOLS) notebooks

gpu: $(TOOLS)
	python tests/benchmarks/gpu.py $(TEXT)

site: $(TOOLS) $(CORPUS)
	python site/build.py _site

$(READY): pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(INSTALL) -e .
	touch $@

# What tests and the web site need, a third of everything, is not installed for a learner.
$(TOOLS): $(READY)
	$(INSTALL) -e '.[dev]'
	touch $@

$(CORPUS): $(READY) data/data-by-char/prepare.py data/plays.py data/shakespeare.py data/wheel.py
	python data/data-by-char/prepare.py
	touch $@

# Lesson 01 reads it. Without a network it says so, and uses another vocabulary.
$(GPT2): | $(CORPUS)
	-python data/gpt2/prepare.py

clean:
	rm -rf .venv *.egg-info out-* _site
