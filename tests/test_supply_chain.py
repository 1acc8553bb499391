"""What a base install is made of: its licences, those of the policy and no others; and a wheel that is built again."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
FREE = re.compile(r"MIT|BSD|Apache|0BSD|Zlib|CC0", re.IGNORECASE)


def base_install() -> dict[str, str]:
    """Every package that `pip install mien` brings, with its licence as it states it."""
    requirement = pytest.importorskip("packaging.requirements", reason="needs packaging").Requirement
    import tomllib

    waiting = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    found: dict[str, str] = {}
    while waiting:
        wanted = requirement(waiting.pop())
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            pytest.fail(f"{name} is not installed")
        about = package.metadata
        classified = [line for line in about.get_all("Classifier") or [] if line.startswith("License")]
        found[name] = about.get("License-Expression") or about.get("License") or " ".join(classified)
        waiting += package.requires or []
    return found


def test_the_policy_lists_the_base_install_and_its_licences() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8").partition("## Supply chain")[2]
    listed = set(re.findall(r"^\| ([a-z0-9-]+) \|", text, re.MULTILINE)) - {"package"}
    installed = base_install()
    assert listed == set(installed)
    assert {name: licence for name, licence in installed.items() if not FREE.search(licence)} == {}


@pytest.fixture
def sbom(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "deploy"))
    yield importlib.import_module("sbom")
    sys.modules.pop("sbom")


def test_the_bill_of_materials_has_hashes_and_licences_by_their_spdx_names(sbom: ModuleType) -> None:
    stated = {"numpy": None, "protobuf": "3-Clause BSD License", "Some_Thing": ""}
    bill = {
        "components": [
            {"name": "numpy", "licenses": [{"expression": "BSD-3-Clause AND MIT"}]},
            {"name": "protobuf"},
        ]
    }
    report = {
        "install": [
            {"metadata": {"name": "NumPy"}, "download_info": {"archive_info": {"hashes": {"sha256": "ab"}}}},
            {"metadata": {"name": "mien"}, "download_info": {"dir_info": {}}},
        ]
    }
    installed = {sbom.plain(name): SimpleNamespace(metadata={"License": said}) for name, said in stated.items()}
    found = sbom.complete(bill, sbom.hashes(report), installed)
    assert found == {"numpy": "BSD-3-Clause AND MIT", "protobuf": "BSD-3-Clause"}
    assert bill["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "ab"}]
    with pytest.raises(SystemExit, match="Some_Thing states no licence"):
        sbom.complete({"components": [{"name": "Some_Thing"}]}, {}, installed)


@pytest.mark.skipif(find_spec("hatchling") is None or find_spec("build") is None, reason="needs build and hatchling")
def test_the_wheel_is_the_same_when_it_is_built_again(tmp_path: Path) -> None:
    """The package without its models, which take seconds to pack and are no different."""
    source = tmp_path / "source"
    for path in (*ROOT.glob("src/mien/*.py"), *ROOT.glob("src/mien/images/*.py"), ROOT / "pyproject.toml"):
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for name in ("README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    digests = []
    for number in range(2):
        for path in source.rglob("*"):
            os.utime(path, (1e9 + number, 1e9 + number))
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / str(number))]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        (wheel,) = (tmp_path / str(number)).iterdir()
        digests.append(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert digests[0] == digests[1]
