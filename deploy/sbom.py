"""The bill of materials of a base install: what cyclonedx-py finds, with what it leaves out, hashes and licences.

    python deploy/sbom.py --out dist/mien.cdx.json

Installs Mien by the pinned versions into an environment of its own, which is then gone, and prints a table.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SPDX = {"3-Clause BSD License": "BSD-3-Clause", "License :: OSI Approved :: Apache Software License": "Apache-2.0"}
"""Licences that packages name in words of their own."""


def plain(name: str) -> str:
    """A package's name as the index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(report: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the file that each package was installed from, by pip's report."""
    return {
        plain(entry["metadata"]["name"]): entry["download_info"]["archive_info"]["hashes"]["sha256"]
        for entry in report["install"]
        if "archive_info" in entry["download_info"]
    }


def complete(bill: dict[str, Any], known: dict[str, str], installed: dict[str, Distribution]) -> dict[str, str]:
    """Add hashes, and licences by their SPDX names; name → licence.

    Raises:
        SystemExit: a package states no licence.
    """
    found = {}
    for component in bill["components"]:
        name = plain(component["name"])
        entries = component.get("licenses") or [{"license": {"name": installed[name].metadata.get("License") or ""}}]
        for entry in entries:
            if said := SPDX.get(entry.get("license", {}).get("name", "")):
                entry["license"] = {"acknowledgement": "declared", "id": said}
        component["licenses"] = entries
        stated = [
            entry.get("expression") or entry["license"].get("id") or entry["license"]["name"] for entry in entries
        ]
        if not all(stated):
            raise SystemExit(f"{component['name']} states no licence: look it up, and add it to SPDX in {__file__}")
        found[component["name"]] = " AND ".join(stated)
        if name in known:
            component["hashes"] = [{"alg": "SHA-256", "content": known[name]}]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment, report, bill_file = (Path(folder, name) for name in ("base", "report.json", "bill.json"))
        # Without pip, which is no part of what Mien brings.
        venv.create(environment)
        python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "--quiet",
            "--disable-pip-version-check",
            "install",
        ]
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "--report", str(report), str(ROOT)], check=True)
        tool = [sys.executable, "-m", "cyclonedx_py", "environment", str(python), "--output-reproducible"]
        options = ["--pyproject", str(ROOT / "pyproject.toml"), "--of", "JSON", "-o", str(bill_file)]
        subprocess.run([*tool, *options], check=True)
        bill = json.loads(bill_file.read_text("utf-8"))
        library = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        installed = {plain(package.name): package for package in distributions(path=[library])}
        licences = complete(bill, hashes(json.loads(report.read_text("utf-8"))), installed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
    for name, licence in licences.items():
        print(f"{name:28}{licence}")


if __name__ == "__main__":
    main()
