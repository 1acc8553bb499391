"""What the package index and those who build from source get."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from email import message_from_string
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tarfile.TarFile:
    for module in ("build", "hatchling", "hatch_fancy_pypi_readme"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, REPOSITORY]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = folder.glob("*.tar.gz")
    return tarfile.open(found)


def test_everything_that_the_documents_name_is_in_the_source_archive(archive: tarfile.TarFile) -> None:
    names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"deploy/compose.yaml", "constraints.txt", "CONTRIBUTING.md", "mkdocs.yml", "docs/architecture.md"} <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_readme_of_the_index_has_no_link_that_leads_nowhere(archive: tarfile.TarFile) -> None:
    (name,) = (name for name in archive.getnames() if name.endswith("/PKG-INFO"))
    file = archive.extractfile(name)
    assert file is not None
    text = str(message_from_string(file.read().decode("utf-8")).get_payload())
    assert text.startswith("# Mien")
    assert "pip install mien" in text
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", text) == []
