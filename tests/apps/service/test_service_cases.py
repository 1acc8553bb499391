"""Files that other software reads wrongly, sent to the service: an answer, or a 4xx about the file, never a 500."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_runs import PATIENCE_S, InProcess, running

pytestmark = pytest.mark.data
HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None


@pytest.fixture(scope="module")
def service(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_HOME", str(shared / "weights"))
        with running("mien-s", detector="yunet", state_dir=tmp_path_factory.mktemp("state")) as started:
            yield started


@pytest.fixture(autouse=True)
def _weights(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))


@pytest.mark.parametrize("name", ["photo.avif", "download.jfif", "noeoi.jpg", "exif.heic", "iphone_tiles_small.heic"])
def test_images(service: InProcess, shared: Path, name: str) -> None:
    response = service.send((shared / "data" / "cases" / name).read_bytes())
    if name.endswith(".heic") and not HAS_HEIC:
        assert 400 <= response.status_code < 500
        assert "pillow-heif" in response.text
        return
    assert response.status_code == 200
    assert len(response.json()["images"][0]["faces"]) >= 1


@pytest.mark.parametrize("name", ["cam_exif.avi", "short3.mp4", "anam.mp4", "turn2.webm"])
def test_videos(service: InProcess, shared: Path, name: str) -> None:
    files = {"file": (name, (shared / "data" / "cases" / name).read_bytes())}
    response = service.request("POST", "/v1/videos", files=files)
    assert response.status_code == 202
    job = response.json()
    end = time.monotonic() + PATIENCE_S
    while (job := service.get(f"/v1/jobs/{job['id']}").json())["state"] in ("queued", "running"):
        assert time.monotonic() < end, job
        time.sleep(0.02)
    assert job["state"] == "done", job
    notice = job["notice"] or ""
    assert ("turn2.webm: " in notice and "640 × 360" in notice) == (name == "turn2.webm")
    assert "/incoming/" not in notice
    result = service.get(f"/v1/jobs/{job['id']}/result").json()
    assert result["episodes"], json.dumps(result["summary"])


@pytest.mark.parametrize("name", ["photo.avif", "plain.heic", "noeoi.jpg", "README.md"])
def test_what_is_no_video(service: InProcess, shared: Path, name: str) -> None:
    files = {"file": (name, (shared / "data" / "cases" / name).read_bytes())}
    response = service.request("POST", "/v1/videos", files=files)
    assert response.status_code == 422
    assert name in response.json()["detail"]
    assert "/incoming/" not in response.text


@pytest.mark.parametrize("name", ["short3.mp4", "README.md"])
def test_what_is_no_image(service: InProcess, shared: Path, name: str) -> None:
    response = service.send((shared / "data" / "cases" / name).read_bytes())
    assert 400 <= response.status_code < 500
