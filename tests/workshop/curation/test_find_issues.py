from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from faces_made_up import draw_faces, make_dataset

from mien.artifact.artifact import load_artifact
from mien.errors import ArtifactError, DataError
from mien.workshop.curation import noface
from mien.workshop.curation.find import find_issues
from mien.workshop.curation.noface import make_negatives
from mien.workshop.curation.similarity import BATCH, Embedder, Embedding, embed, with_embedding
from mien.workshop.curation.table import read_table, write_table
from mien.workshop.data import cache
from mien.workshop.reports.curation_page import render, write_page

pytest.importorskip("onnx")
pytest.importorskip("sklearn")
pytest.importorskip("cleanlab")


@pytest.fixture
def embedder(toy_artifact: Path) -> Embedder:
    return Embedder(load_artifact(toy_artifact))


def test_the_embedding_is_what_the_head_reads(embedder: Embedder) -> None:
    faces = draw_faces(3)
    found = embedder(faces)
    assert (found.vectors == faces.reshape(3, -1)).all()
    assert found.maps.shape == (3, 0)
    assert embedder.probabilities(found.logits).sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_a_graph_without_a_linear_layer_is_refused(toy_artifact: Path) -> None:
    with pytest.raises(ArtifactError, match="no linear layer before its head 'nobody'"):
        with_embedding(load_artifact(toy_artifact).graph, "nobody")


def test_an_interrupted_run_goes_on(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.workshop.curation.similarity.BLOCK", BATCH)
    dataset = make_dataset(draw_faces(BATCH + 20), np.zeros(BATCH + 20))
    calls: list[int] = []
    run = Embedder.__call__

    def counted(self: Embedder, images: np.ndarray, on_progress: object = None) -> Embedding:
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(self, images)

    monkeypatch.setattr(Embedder, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        embed(dataset, embedder)
    found = embed(dataset, embedder)
    assert calls == [BATCH, 20, 20]
    assert len(found.vectors) == BATCH + 20
    for path in cache.default_cache_dir().glob("embedding-*"):
        path.write_bytes(b"damaged")
    assert (embed(dataset, embedder).vectors == found.vectors).all()


def test_negatives_are_the_same_for_a_seed() -> None:
    faces = draw_faces(4)
    made = make_negatives(faces, 30)
    assert made.shape == (30, 48, 48)
    assert made.dtype == np.uint8
    assert (made == make_negatives(faces, 30)).all()
    assert (made != make_negatives(faces, 30, seed=1)).any()


def test_what_is_no_face_comes_first(embedder: Embedder) -> None:
    faces = draw_faces(300)
    faces[5] = 0
    faces[17] = 240
    cv2.putText(faces[17], "sorry", (1, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 10, 1)
    faces[40] = cv2.rotate(faces[40], cv2.ROTATE_180)
    judged = noface.judge(faces, embedder(faces), embedder)
    first = np.argsort(-(judged.odds - judged.seen))[:6].tolist()
    assert {5, 17} <= set(first)
    found = noface.find_faceless(judged)
    assert {5, 17} <= {f.rows[0] for f in found}
    assert all(0.5 <= f.score <= 1 for f in found)


def test_what_a_detector_sees_is_less_suspicious(embedder: Embedder) -> None:
    faces = draw_faces(80)
    judged = noface.judge(faces, embedder(faces), embedder, ((lambda image: 1.0, 3.0),))
    assert sorted(np.unique(judged.seen).tolist()) == [0, 3]
    assert judged.odds[judged.seen > 0].min() >= judged.odds[judged.seen == 0].max()


def make_mixed() -> object:
    faces = draw_faces(120)
    labels = np.arange(120) % 7
    split = np.repeat([0, 1, 2], [80, 20, 20])
    faces[100] = faces[3]
    faces[4] = faces[5]
    labels[[4, 5]] = 2, 3
    faces[60] = cv2.GaussianBlur(faces[61], (0, 0), 0.8)
    faces[70] = 0
    return make_dataset(faces, labels, split, "<mixed> & odd")


def test_everything_comes_together_in_one_table_and_one_page(toy_artifact: Path, tmp_path: Path) -> None:
    dataset = make_mixed()
    steps: list[str] = []

    def step(name: str) -> object:
        steps.append(name)
        return lambda done, total: None

    table = find_issues(dataset, load_artifact(toy_artifact), data=tmp_path, on_stage=step)  # type: ignore[arg-type]
    rows = {kind: [issue.rows for issue in table.of_kind(kind)] for kind in ("leak", "conflict", "duplicate", "flat")}
    assert rows["leak"] == [(100, 3)]
    assert (4, 5) in rows["conflict"]
    assert rows["duplicate"] == [(4, 5)]
    assert rows["flat"] == [(70,)]
    assert any({60, 61} <= set(issue.rows) for issue in table.of_kind("near-duplicate"))
    assert [issue.number for issue in table.issues] == list(range(1, len(table.issues) + 1))
    evidence = table.evidence(3)
    assert evidence is not None
    assert 100 not in evidence["neighbours"]
    assert sum(evidence["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert len(steps) == len(set(steps)) >= 4

    write_table(table, tmp_path / "issues.csv")
    assert read_table(tmp_path / "issues.csv").issues == table.issues
    page = write_page(table, dataset, tmp_path / "issues.csv")  # type: ignore[arg-type]
    html = page.read_text()
    assert page.name == "issues.html"
    assert "&lt;mixed&gt; &amp; odd" in html
    assert "<mixed>" not in html
    assert "<script" not in html
    assert "http" not in html.replace("data:image/png", "")
    assert all(f'<h2 id="{kind}">' in html for kind in {issue.kind for issue in table.issues})


def test_the_page_is_of_the_tables_data_set(toy_artifact: Path, tmp_path: Path) -> None:
    dataset = make_dataset(draw_faces(4), [0, 1, 2, 3])
    table = find_issues(dataset, load_artifact(toy_artifact), data=tmp_path)
    with pytest.raises(DataError, match="not the data set of the table"):
        write_page(table, make_dataset(draw_faces(4, seed=1), [0, 1, 2, 3]), tmp_path / "issues.csv")


@pytest.mark.parametrize(
    ("count", "labels"), [(1, [3]), (2, [3, 3]), (3, [-1, -1, -1]), (9, [0, 0, 0, 1, 1, 1, 1, 0, 0])]
)
def test_small_and_unlabelled_data_sets_are_looked_through(
    toy_artifact: Path, tmp_path: Path, count: int, labels: list[int]
) -> None:
    dataset = make_dataset(draw_faces(count), labels)
    table = find_issues(dataset, load_artifact(toy_artifact), data=tmp_path)
    assert table.dataset_rows == count
    assert not table.of_kind("no-face")
    assert "<h1>" in render(table, dataset)


def test_colour_pictures_are_looked_through(toy_artifact: Path, tmp_path: Path) -> None:
    colours = np.repeat(draw_faces(6)[..., None], 3, axis=3)
    colours[1] = colours[0]
    table = find_issues(make_dataset(colours, [0, 0, 1, 1, 2, 2]), load_artifact(toy_artifact), data=tmp_path)
    assert [issue.rows for issue in table.of_kind("duplicate")] == [(0, 1)]


def test_an_empty_data_set_is_refused(toy_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        find_issues(make_dataset(np.zeros((0, 48, 48), np.uint8), []), load_artifact(toy_artifact), data=tmp_path)
