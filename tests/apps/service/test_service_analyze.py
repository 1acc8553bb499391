"""Pictures in, readings out: the same as the pipeline's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from service_runs import InProcess, make_picture, running

from mien.labels import EIGHT, SEVEN
from mien.reading.pipeline import Pipeline


@pytest.fixture(scope="module")
def service(toy_artifact: Path) -> Iterator[InProcess]:
    with running(toy_artifact) as service:
        yield service


def assert_same(face: dict[str, Any], expected: dict[str, Any]) -> None:
    """Batches of other sizes add up in another order: probabilities agree to the last digit that is told."""
    assert face["top"] == expected["top"]
    for name, value in expected["probabilities"].items():
        assert face["probabilities"][name] == pytest.approx(value, abs=1.5e-4)
    for name in ("face", "abstained", "box", "landmarks", "detection_score"):
        assert face[name] == expected[name]
    assert face["confidence"] == pytest.approx(expected["confidence"], abs=1.5e-4)


def test_a_body_is_read_as_the_pipeline_reads_it(service: InProcess, toy_artifact: Path) -> None:
    picture = make_picture()
    response = service.send(picture, "?labels=eight&head=crowd")
    assert response.status_code == 200
    answer = response.json()
    (expected,) = Pipeline(toy_artifact, detector="none", labels="eight").analyze(picture)
    assert answer["labels"] == list(EIGHT)
    assert (answer["model"], answer["detector"]) == (expected.model, "none")
    (read,) = answer["pictures"]
    assert (read["source"], read["name"], read["width"], read["height"], read["error"]) == (0, None, 80, 60, None)
    assert set(read["seconds"]) == {"queue", "decode", "detect", "classify"}
    assert_same(read["faces"][0], expected.to_dict())


def test_a_service_may_read_mirror_images_as_well(toy_artifact: Path) -> None:
    picture = make_picture()
    (expected,) = Pipeline(toy_artifact, detector="none", flip=True).analyze(picture)
    with running(toy_artifact, flip=True) as service:
        answer = service.send(picture).json()
    assert answer["model"] == expected.model == "toy 1.0 +flip"
    assert_same(answer["pictures"][0]["faces"][0], expected.to_dict())


def test_a_service_may_balance() -> None:
    picture = make_picture()
    (expected,) = Pipeline("mien-xs", detector="none", balance=0.5).analyze(picture)
    with running(Path("mien-xs"), balance=0.5) as service:
        answer = service.send(picture).json()
    assert answer["model"] == expected.model
    assert answer["model"].endswith(" +balance0.5")
    assert_same(answer["pictures"][0]["faces"][0], expected.to_dict())


def test_a_form_is_read_in_order(service: InProcess, toy_artifact: Path) -> None:
    pictures = [make_picture(seed, width=40 + seed) for seed in range(5)]
    answer = service.upload(pictures).json()
    pipeline = Pipeline(toy_artifact, detector="none")
    assert [entry["source"] for entry in answer["pictures"]] == [0, 1, 2, 3, 4]
    for entry, picture in zip(answer["pictures"], pictures, strict=True):
        assert_same(entry["faces"][0], pipeline.analyze(picture)[0].to_dict())


def test_requests_at_the_same_time_share_runs_and_get_their_own_faces(toy_artifact: Path) -> None:
    pictures = [make_picture(seed) for seed in range(40)]
    pipeline = Pipeline(toy_artifact, detector="none")
    with running(toy_artifact, batch_wait_ms=50) as service:

        async def ask_all() -> list[httpx.Response]:
            headers = {"Content-Type": "image/png"}
            return await asyncio.gather(
                *[service.client.post("/v1/analyze", content=picture, headers=headers) for picture in pictures]
            )

        responses = service.run(ask_all())
        runs = service.service.metrics.registry.get_sample_value("mien_batch_faces_count")
    assert runs is not None
    assert runs < len(pictures) / 2
    for response, picture in zip(responses, pictures, strict=True):
        (face,) = response.json()["pictures"][0]["faces"]
        assert_same(face, pipeline.analyze(picture)[0].to_dict())


def test_a_bad_picture_hinders_no_other(service: InProcess) -> None:
    response = service.upload([make_picture(), b"no picture", make_picture(1)])
    assert response.status_code == 200
    good, bad, other = response.json()["pictures"]
    assert len(good["faces"]) == len(other["faces"]) == 1
    assert bad["faces"] == []
    assert bad["width"] is None
    assert bad["error"]["type"] == "urn:mien:problem:not-a-picture"


def test_names_are_no_paths(service: InProcess) -> None:
    names = ["../../etc/passwd", "C:\\secret\\me.png", "..", "a\tb\x7f\u202e.png", "/"]
    pictures = service.upload([make_picture()] * 5, names=names).json()["pictures"]
    assert [entry["name"] for entry in pictures][:3] == ["passwd", "me.png", None]
    assert all(entry["name"] is None or entry["name"].isprintable() for entry in pictures)


def test_options(service: InProcess) -> None:
    picture = make_picture()
    face = service.send(picture, "?min_confidence=1").json()["pictures"][0]["faces"][0]
    assert face["abstained"]
    assert list(face["probabilities"]) == list(SEVEN)
    for labels in ("seven", "eight"):
        face = service.send(picture, f"?boxes_only=true&labels={labels}").json()["pictures"][0]["faces"][0]
        assert (face["top"], face["confidence"], face["probabilities"], face["abstained"]) == (None, None, None, False)
    assert face["box"] == {"x": 0, "y": 0, "width": 80, "height": 60}
    other = service.send(picture, "?head=fer2013&model=toy@1.0").json()["pictures"][0]["faces"][0]
    assert other["probabilities"] != service.send(picture).json()["pictures"][0]["faces"][0]["probabilities"]


def test_no_face_is_an_answer(service: InProcess) -> None:
    answer = service.send(make_picture(), "?detector=haar").json()
    assert answer["pictures"][0]["faces"] == []
    assert answer["detector"] == "haar"


def test_models(service: InProcess) -> None:
    answer = service.get("/v1/models").json()
    (card,) = answer["models"]
    assert (card["name"], card["version"], card["default"], card["default_head"]) == ("toy", "1.0", True, "crowd")
    assert answer["detectors"] == ["auto", "mien", "yunet", "haar", "none"]
    assert service.get("/v1/models/toy").json() == service.get("/v1/models/toy@1.0").json() == card
    assert service.get("/v1/models/other").status_code == 404


@pytest.mark.data
def test_real_photos_read_as_the_pipeline_reads_them(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled model, YuNet where its file is, photos of several formats at the same time; one cannot be read."""
    if any((shared / "weights").glob("*.onnx")):
        monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))
    paths = [shared / "data" / "photos" / name for name in ("multi_face.jpg", "astronaut.png", "grace_hopper.bmp")]
    truncated = shared / "data" / "photos" / "truncated.jpg"
    pipeline = Pipeline()
    with running(Path("mien-s"), detector="auto") as service:
        answer = service.upload([path.read_bytes() for path in (*paths, truncated)]).json()
    assert answer["pictures"][3]["error"]["type"] == "urn:mien:problem:damaged-picture"
    for entry, path in zip(answer["pictures"], paths, strict=False):
        expected = pipeline.analyze(path)
        assert len(entry["faces"]) == len(expected) > 0
        for face, other in zip(entry["faces"], expected, strict=True):
            assert_same(face, other.to_dict())
    assert np.isclose(sum(answer["pictures"][0]["faces"][0]["probabilities"].values()), 1, atol=1e-3)
