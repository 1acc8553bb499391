"""Images in, readings out: the same as the pipeline's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from service_runs import InProcess, make_image, running

from mien.images.pictures import encode
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
    image = make_image()
    response = service.send(image, "?labels=eight&head=crowd")
    assert response.status_code == 200
    answer = response.json()
    (expected,) = Pipeline(toy_artifact, detector="none", labels="eight").analyze(image)
    assert answer["labels"] == list(EIGHT)
    assert (answer["model"], answer["detector"]) == (expected.model, "none")
    (read,) = answer["images"]
    assert (read["source"], read["name"], read["width"], read["height"], read["error"]) == (0, None, 80, 60, None)
    assert set(read["seconds"]) == {"queue", "decode", "detect", "classify"}
    assert_same(read["faces"][0], expected.to_dict())


def test_a_service_may_read_mirror_images_as_well(toy_artifact: Path) -> None:
    image = make_image()
    (expected,) = Pipeline(toy_artifact, detector="none", flip=True).analyze(image)
    with running(toy_artifact, flip=True) as service:
        answer = service.send(image).json()
    assert answer["model"] == expected.model == "toy 1.0 +flip"
    assert_same(answer["images"][0]["faces"][0], expected.to_dict())


def test_a_service_may_balance() -> None:
    image = make_image()
    (expected,) = Pipeline("mien-xs", detector="none", balance=0.5).analyze(image)
    with running(Path("mien-xs"), balance=0.5) as service:
        answer = service.send(image).json()
    assert answer["model"] == expected.model
    assert answer["model"].endswith(" +balance0.5")
    assert_same(answer["images"][0]["faces"][0], expected.to_dict())


def test_a_form_is_read_in_order(service: InProcess, toy_artifact: Path) -> None:
    images = [make_image(seed, width=40 + seed) for seed in range(5)]
    answer = service.upload(images).json()
    pipeline = Pipeline(toy_artifact, detector="none")
    assert [entry["source"] for entry in answer["images"]] == [0, 1, 2, 3, 4]
    for entry, image in zip(answer["images"], images, strict=True):
        assert_same(entry["faces"][0], pipeline.analyze(image)[0].to_dict())


def test_requests_at_the_same_time_share_runs_and_get_their_own_faces(toy_artifact: Path) -> None:
    images = [make_image(seed) for seed in range(40)]
    pipeline = Pipeline(toy_artifact, detector="none")
    with running(toy_artifact, batch_wait_ms=50) as service:

        async def ask_all() -> list[httpx.Response]:
            headers = {"Content-Type": "image/png"}
            return await asyncio.gather(
                *[service.client.post("/v1/analyze", content=image, headers=headers) for image in images]
            )

        responses = service.run(ask_all())
        runs = service.service.metrics.registry.get_sample_value("mien_batch_faces_count")
    assert runs is not None
    assert runs < len(images) / 2
    for response, image in zip(responses, images, strict=True):
        (face,) = response.json()["images"][0]["faces"]
        assert_same(face, pipeline.analyze(image)[0].to_dict())


def test_a_bad_image_hinders_no_other(service: InProcess) -> None:
    response = service.upload([make_image(), b"no image", make_image(1)])
    assert response.status_code == 200
    good, bad, other = response.json()["images"]
    assert len(good["faces"]) == len(other["faces"]) == 1
    assert bad["faces"] == []
    assert bad["width"] is None
    assert bad["error"]["type"] == "urn:mien:problem:not-an-image"


def test_names_are_no_paths(service: InProcess) -> None:
    names = ["../../etc/passwd", "C:\\secret\\me.png", "..", "a\tb\x7f\u202e.png", "/"]
    images = service.upload([make_image()] * 5, names=names).json()["images"]
    assert [entry["name"] for entry in images][:3] == ["passwd", "me.png", None]
    assert all(entry["name"] is None or entry["name"].isprintable() for entry in images)


def test_options(service: InProcess) -> None:
    image = make_image()
    face = service.send(image, "?min_confidence=1").json()["images"][0]["faces"][0]
    assert face["abstained"]
    assert list(face["probabilities"]) == list(SEVEN)
    for labels in ("seven", "eight"):
        face = service.send(image, f"?boxes_only=true&labels={labels}").json()["images"][0]["faces"][0]
        assert (face["top"], face["confidence"], face["probabilities"], face["abstained"]) == (None, None, None, False)
    assert face["box"] == {"x": 0, "y": 0, "width": 80, "height": 60}
    other = service.send(image, "?head=fer2013&model=toy@1.0").json()["images"][0]["faces"][0]
    assert other["probabilities"] != service.send(image).json()["images"][0]["faces"][0]["probabilities"]


def test_geometry_and_quality(service: InProcess, toy_artifact: Path) -> None:
    image = make_image()
    without = service.send(image).json()["images"][0]["faces"][0]
    assert without["landmarks68"] is without["pose"] is without["blendshapes"] is None
    (expected,) = Pipeline(toy_artifact, detector="none", geometry=True).analyze(image)
    for query in ("?geometry=true", "?geometry=true&boxes_only=true"):
        face = service.send(image, query).json()["images"][0]["faces"][0]
        for name in ("landmarks68", "iris", "visible", "pose", "blendshapes", "quality", "quality_score"):
            assert face[name] == json.loads(json.dumps(expected.to_dict()[name]))
    faint = encode(np.full((60, 80, 3), 100, np.uint8), "png")
    face = service.send(faint, "?min_quality=0.5").json()["images"][0]["faces"][0]
    assert (face["quality"], face["quality_score"], face["abstained"]) == ("faint", 0, True)
    assert not service.send(faint).json()["images"][0]["faces"][0]["abstained"]


def test_no_face_is_an_answer(service: InProcess) -> None:
    answer = service.send(make_image(), "?detector=haar").json()
    assert answer["images"][0]["faces"] == []
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
    assert answer["images"][3]["error"]["type"] == "urn:mien:problem:damaged-image"
    for entry, path in zip(answer["images"], paths, strict=False):
        expected = pipeline.analyze(path)
        assert len(entry["faces"]) == len(expected) > 0
        for face, other in zip(entry["faces"], expected, strict=True):
            assert_same(face, other.to_dict())
    assert np.isclose(sum(answer["images"][0]["faces"][0]["probabilities"].values()), 1, atol=1e-3)
