"""Every command and every program of the guides to the service, run against one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from service_runs import Process, make_image, serving

GUIDES = Path(__file__).parents[3] / "docs" / "guide"
ADDRESS = "127.0.0.1:8000"


def blocks(guide: str, *languages: str) -> list[str]:
    """The pieces of code of a guide in these languages."""
    text = (GUIDES / guide).read_text("utf-8")
    return [code for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if language in languages]


CURL = [code for code in blocks("service.md", "sh", "bash") if "curl" in code]
PYTHON = [code for guide in ("service.md", "client.md", "videos.md") for code in blocks(guide, "python")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("guides")
    given: dict[str, Any] = {"state_dir": str(folder / "state")}
    with serving("mien-s", folder, **given) as process:  # type: ignore[arg-type]
        yield process


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the guides take for granted in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("face.jpg").write_bytes(make_image(image_format="jpeg"))
    Path("group.png").write_bytes(make_image(1))
    Path("broken.jpg").write_bytes(make_image(image_format="jpeg")[:200])
    write_clip(Path("video.mp4"), [index / 5 for index in range(6)])


def run(script: str, service: Process) -> str:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("needs curl and bash")
    script = script.replace(ADDRESS, f"127.0.0.1:{service.port}")
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "urn:mien:problem" not in done.stdout
    return done.stdout


def test_the_guides_have_examples() -> None:
    assert len(CURL) >= 5
    assert len(PYTHON) >= 5
    assert len(blocks("videos.md", "bash")) >= 2


@pytest.mark.parametrize("script", CURL, ids=range(len(CURL)))
def test_commands_of_the_guide_to_the_service(service: Process, script: str) -> None:
    assert run(script, service)


def test_commands_of_the_guide_to_videos(service: Process) -> None:
    shown = run("\n".join(blocks("videos.md", "bash")), service)
    assert '"state":"queued"' in shown or '"state":"running"' in shown or '"state":"done"' in shown
    assert Path("video.csv").read_text().count("\n") == 7
    assert '"rows"' in Path("video.json").read_text()


@pytest.mark.parametrize("program", PYTHON, ids=range(len(PYTHON)))
def test_programs(service: Process, program: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = program.replace(ADDRESS, f"127.0.0.1:{service.port}")
    exec(compile(code, "guide", "exec"), {"__name__": "guide"})
    assert capsys.readouterr().out
