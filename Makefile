# `make demo` and `make test` need nothing but Python 3.11 or newer with venv, pip and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A file runs in one process; conftest.py begins with the long ones.
PROCESSES := -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-fast coverage reliability wheel sbom check docs pictures web format have-data teachers model-s model-xs model-geometry model-detector studies-smoke bench bench-training bench-video bench-peers clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v >= (3, 11) else \
	"Mien needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e . scikit-image
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.base

demo: $(VENV)/.base  ## read a real portrait with the bundled model
	@cp "$$($(BIN)/python -c 'import importlib.util as u; print(u.find_spec("skimage").submodule_search_locations[0])')/data/astronaut.png" $(VENV)/astronaut.png
	$(BIN)/mien analyze $(VENV)/astronaut.png --save demo --overwrite
	@echo 'The annotated picture is in demo/. Eileen Collins, NASA, public domain.'

test: $(VENV)/.dev  ## run the whole test suite, a process a core: ARGS="tests/faces" or any option of pytest
	$(BIN)/python -m pytest $(PROCESSES) $(ARGS)

test-fast: $(VENV)/.dev  ## reading alone, without real data, for daily work; about a minute on two quiet cores
	$(BIN)/python -m pytest $(PROCESSES) -q -m "not data" tests/artifact tests/faces tests/images tests/reading tests/sinks tests/sources tests/test_files.py tests/test_import.py $(ARGS)

coverage: $(VENV)/.dev  ## lines and branches that the tests reach, by folder: ARGS="tests/sinks" for some of them
	@$(BIN)/python -m pytest $(PROCESSES) -q --cov --cov-report=json:build/coverage/report.json --cov-report=html:build/coverage/html $(ARGS); \
	code=$$?; $(BIN)/python benchmarks/coverage_by_folder.py build/coverage/report.json; exit $$code

reliability: $(VENV)/.dev  ## try to break it, about two hours: damaged files, load, kills; ARGS="--count 1000" for less
	$(BIN)/python benchmarks/reliability/fuzz.py --out build/fuzz $(ARGS)
	$(BIN)/python benchmarks/reliability/processes.py
	$(BIN)/python benchmarks/reliability/under_load.py
	$(BIN)/python benchmarks/reliability/kills.py

wheel: $(VENV)/.dev  ## build the wheel twice, and compare the bytes
	@rm -rf dist build/again
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --wheel --outdir dist .
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --wheel --outdir build/again . >/dev/null
	@cd dist && for wheel in *.whl; do cmp $$wheel ../build/again/$$wheel && sha256sum $$wheel; done

sbom: $(VENV)/.dev  ## every package of a base install with its licence and hash, in CycloneDX: dist/mien.cdx.json
	$(BIN)/python deploy/sbom.py --out dist/mien.cdx.json

check: $(VENV)/.dev  ## format, lint, types, layers, no import circles, the glossary
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_architecture.py tests/test_words.py

web: $(VENV)/.dev  ## check, test and build the page that analyzes in the browser; needs Node 20
	cd web && npm ci && npm run check && MIEN_PYTHON=$(abspath $(BIN)/python) npm test && MIEN_PYTHON=$(abspath $(BIN)/python) npm run build

pictures: $(VENV)/.dev  ## make the pictures of the window and the pages again, from a portrait in the public domain; after make web, with YuNet fetched
	QT_QPA_PLATFORM=offscreen $(BIN)/python docs/images/make_watch.py
	$(BIN)/python docs/images/make_pages.py

docs: $(VENV)/.dev  ## build the documentation in site/; a warning or a dead link is an error
	$(BIN)/python docs/make_reference.py
	$(BIN)/python -m zensical build --strict -f mkdocs.yml

format: $(VENV)/.dev  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

have-data:
	@test -n "$(DATA)" || { echo 'say where FER2013 is: make $(MAKECMDGOALS) DATA=folder with fer2013.csv and fer2013new.csv'; exit 2; }

teachers: $(VENV)/.dev have-data  ## train the first two stages of mien-s, and save their predictions of the training faces: make teachers DATA=folder
	$(BIN)/mien train studies/mien-s.toml $(DATA) --out runs/mien-s
	$(BIN)/mien model export runs/mien-s $(DATA) --out runs/mien-s/artifact --overwrite
	$(BIN)/mien model distill $(DATA) --teacher runs/mien-s/artifact --out studies/teachers/mien-s-0.1.0.npz
	$(BIN)/mien train studies/mien-s-2.toml $(DATA) --out runs/mien-s-2
	$(BIN)/mien model export runs/mien-s-2 $(DATA) --out runs/mien-s-2/artifact --version 0.2.0 --overwrite
	$(BIN)/mien model distill $(DATA) --teacher runs/mien-s/artifact --teacher runs/mien-s-2/artifact --out studies/teachers/mien-s-both.npz

model-s: teachers  ## train and export the bundled model, all stages: make model-s DATA=folder
	$(BIN)/mien train studies/mien-s-3.toml $(DATA) --out runs/mien-s-3
	$(BIN)/mien model export runs/mien-s-3 $(DATA) --out runs/mien-s-3/artifact --precision int8 --version 0.3.0 --overwrite

model-xs: $(VENV)/.dev have-data  ## train and export the smallest model, its teachers' predictions are there: make model-xs DATA=folder
	$(BIN)/mien train studies/mien-xs-2.toml $(DATA) --out runs/mien-xs-2
	$(BIN)/mien model export runs/mien-xs-2 $(DATA) --out runs/mien-xs-2/artifact --overwrite
	$(BIN)/mien train studies/mien-xs-3.toml $(DATA) --out runs/mien-xs-3
	$(BIN)/mien model export runs/mien-xs-3 $(DATA) --out runs/mien-xs-3/artifact --precision int8 --version 0.2.0 --overwrite
	for seed in 0 1 2; do $(BIN)/mien train studies/mien-xs-4.toml $(DATA) --seed $$seed --out runs/mien-xs-4-$$seed || exit; done
	$(BIN)/mien model average $(DATA) --run runs/mien-xs-4-0 --run runs/mien-xs-4-1 --run runs/mien-xs-4-2 --out runs/mien-xs-4 --overwrite
	for seed in 0 1; do $(BIN)/mien train studies/mien-xs-5.toml $(DATA) --seed $$seed --out runs/mien-xs-5-$$seed || exit; done
	$(BIN)/mien model average $(DATA) --run runs/mien-xs-5-0 --run runs/mien-xs-5-1 --out runs/mien-xs-5 --overwrite
	$(BIN)/mien model export runs/mien-xs-5 $(DATA) --out runs/mien-xs-5/artifact --precision int8 --version 0.3.0 --overwrite

model-geometry: $(VENV)/.dev have-data  ## train the geometry network: make model-geometry DATA=folder TEACHER=face_landmarker.task PHOTOGRAPHS=zip SCENES=zip [FOREIGN=zip]
	@test -n "$(TEACHER)" -a -n "$(PHOTOGRAPHS)" -a -n "$(SCENES)" || { echo 'say where the teacher and the pictures are: see docs/guide/geometry.md'; exit 2; }
	$(PIP) ai-edge-litert
	$(BIN)/python -m mien.workshop.geometry label --answers runs/geometry/answers --teacher $(TEACHER) --photographs $(PHOTOGRAPHS) --fer2013 $(DATA) $(if $(FOREIGN),--foreign $(FOREIGN))
	$(BIN)/python -m mien.workshop.geometry train studies/geometry.toml --answers runs/geometry/answers --teacher $(TEACHER) --scenes $(SCENES) --out runs/geometry/face
	$(BIN)/python -m mien.workshop.geometry train studies/geometry-closeups.toml --answers runs/geometry/answers --teacher $(TEACHER) --scenes $(SCENES) --out runs/geometry/closeups
	$(BIN)/python -m mien.workshop.geometry fuse runs/geometry/face runs/geometry/closeups --answers runs/geometry/answers
	$(BIN)/python -m mien.workshop.geometry covers runs/geometry/face runs/geometry/closeups --answers runs/geometry/answers
	$(BIN)/python -m mien.workshop.geometry export runs/geometry/face runs/geometry/closeups --answers runs/geometry/answers
	$(BIN)/python -m mien.workshop.geometry report --answers runs/geometry/answers

model-detector: $(VENV)/.dev  ## train, export and judge the face detector: make model-detector DATA=folder with faces.zip and scenes.zip
	@test -n "$(DATA)" || { echo 'say where the pictures are: make model-detector DATA=folder with faces.zip and scenes.zip'; exit 2; }
	$(BIN)/mien model pull yunet
	$(BIN)/python -m mien.workshop.detection.train_detector train studies/detector.toml $(DATA) --out runs/detector
	$(BIN)/python -m mien.workshop.detection.train_detector verify studies/detector.toml $(DATA) runs/detector
	$(BIN)/python -m mien.workshop.detection.train_detector export studies/detector.toml runs/detector --out runs/detector/mien-face
	$(BIN)/python -m mien.workshop.detection.train_detector report runs/detector/mien-face $(DATA) --run runs/detector --out runs/detector/report

studies-smoke: $(VENV)/.dev  ## every entry of every study on 512 faces for one epoch: make studies-smoke DATA=folder
	@test -n "$(DATA)" || { echo 'say where FER2013 is: make studies-smoke DATA=folder'; exit 2; }
	@started=$$(date +%s); out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	for study in $$(grep -l '^\[\[entries\]\]' studies/*.toml); do \
		$(BIN)/mien study run $$study $(DATA) --out $$out --limit 512 --epochs 1 --seed 0 --from-scratch && \
		$(BIN)/mien study report $$study --runs $$out --out $$out/report/$$(basename $$study .toml) --no-time || exit; \
	done; echo "all studies: $$(($$(date +%s) - started)) s"

bench: $(VENV)/.dev  ## speed, memory, size of reading, each against a floor measured in the same run
	$(BIN)/python benchmarks/reading.py --install $(ARGS)

bench-training: $(VENV)/.dev  ## images/s of the training loop against the bare network
	$(BIN)/python benchmarks/training.py $(ARGS)

bench-video: $(VENV)/.dev  ## frames/s, memory, latency and flicker on video: ARGS="--clip FILE [--home FOLDER] [--peers]"
	$(BIN)/python benchmarks/video.py $(ARGS)

bench-peers: $(VENV)/.dev  ## the same for the PyPI package fer in an environment of its own (8.5 GB); ARGS="--data FOLDER --photos FOLDER --home FOLDER"
	$(BIN)/python benchmarks/peers.py $(ARGS)

clean:  ## remove the environment and everything made
	rm -rf $(VENV) demo build dist site .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
