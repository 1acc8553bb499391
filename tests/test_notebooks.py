"""The notebooks run from the first cell to the last, in an empty folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pandas", "matplotlib", "torch"):
        pytest.importorskip(module)
    runs = pytest.importorskip("nbmake.nb_run")
    # Two threads of torch to a core would wait for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    copy = Path(shutil.copy(notebook, tmp_path))
    result = runs.NotebookRun(copy, default_timeout=200).execute()
    assert result.error is None, result.error.summary + result.error.trace


def test_they_are_kept_without_output() -> None:
    assert len(NOTEBOOKS) == 4
    for notebook in NOTEBOOKS:
        assert '"outputs": []' in notebook.read_text("utf-8")
        assert "image/png" not in notebook.read_text("utf-8")
