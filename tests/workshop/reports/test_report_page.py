"""The HTML report: what stands in it, that it needs nothing else, and that it comes whatever is missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from mien.errors import ArtifactError
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.scores import (
    ModelIdentity,
    confident_errors,
    confusions,
    examples,
    main_sets,
    top_by_share,
)
from mien.workshop.evaluation.stored import to_dict
from mien.workshop.reports import document
from mien.workshop.reports.charts import axis, nice_ticks
from mien.workshop.reports.evaluation_errors import by_condition, edge
from mien.workshop.reports.evaluation_report import LEAD, describe, report_title, write_report
from mien.workshop.reports.material import NOTHING, Material, Run, Saliency, load_run

VOID = {"meta", "img", "br"}
IDENTITY = ModelIdentity("toy <model>", "1.2", "cd" * 32)
SECTIONS = ("scores", "classes", "confusions", "conditions", "corrupted", "calibration", "coverage", "people",
            "saliency", "learning", "published", "method")  # fmt: skip


class Page(HTMLParser):
    """Checks that tags are closed in order; keeps text, attributes and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def to_html(evaluation, material=NOTHING) -> str:
    return document.to_html(report_title(evaluation), describe(evaluation, material), lead=LEAD, contents=True)


@pytest.fixture
def noisy(make_dataset):
    """A data set whose pictures differ, so that conditions can be told apart."""

    def build(*sizes: int, **changes):
        dataset = make_dataset(*sizes, **changes)
        images = np.random.default_rng(3).integers(0, 256, (len(dataset), 8, 8), dtype=np.uint8)
        images = (images * np.linspace(0.2, 1, len(dataset))[:, None, None]).astype(np.uint8)
        images[:, 0, 0] = dataset.images[:, 0, 0]
        return replace(dataset, images=images)

    return build


def _page(predict, dataset, **material) -> Page:
    evaluation = evaluate(predict, dataset, model=IDENTITY)
    return Page(to_html(evaluation, Material(dataset=dataset, **material)))


def _history(epochs: int = 6) -> list[dict[str, float]]:
    return [
        {"epoch": e, "train_loss": 2 / (e + 1), "loss": 1 + e / 5, "score": 0.5, "crowd": 0.6, "fer2013": 0.4}
        for e in range(epochs)
    ]


def test_the_page_needs_no_other_file_and_no_script(noisy, guessing):
    dataset = noisy()
    text = to_html(evaluate(guessing, dataset, model=IDENTITY), Material(dataset=dataset))
    page = Page(text)
    assert not page.named("script")
    assert not page.named("link")
    assert all((image["src"] or "").startswith("data:image/") for image in page.named("img"))
    assert not re.findall(r"url\(|@import|https?://", text)
    assert all((link["href"] or "").startswith("#") for link in page.named("a"))
    places = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {(link["href"] or "")[1:] for link in page.named("a")} <= places
    assert places.issuperset(SECTIONS)


def test_what_others_named_is_escaped(noisy, guessing):
    dataset = replace(noisy(), name="a & <b>", ids=np.array(['"><script>'] * 110))
    text = to_html(evaluate(guessing, dataset, model=IDENTITY), Material(dataset=dataset))
    assert "toy &lt;model&gt;" in text
    assert "a &amp; &lt;b&gt;" in text
    assert "<script" not in text


def test_every_picture_and_chart_has_words(noisy, guessing):
    page = _page(guessing, noisy(20, 40, 80), run=Run("toy", _history()))
    pictures, charts = page.named("img"), page.named("svg")
    assert len(pictures) > 20
    assert len(charts) >= 10
    assert all("labelled" in (image["alt"] or "") for image in pictures)
    assert all(chart["role"] == "img" and len(chart["aria-label"] or "") > 40 for chart in charts)
    assert not any("nan" in " ".join(str(value) for value in attributes.values()) for _, attributes in page.tags)


def test_faces_can_be_left_out(noisy, guessing):
    dataset = noisy()
    page = _page(guessing, dataset, faces=False)
    assert not page.named("img")
    assert "Pictures of faces were left out" in page.text
    assert page.named("svg")
    shown = _page(guessing, dataset)
    assert "This page holds pictures of people" in shown.text


def test_without_the_data_there_are_scores_and_no_faces(noisy, guessing):
    page = Page(to_html(evaluate(guessing, noisy(), model=IDENTITY)))
    assert not page.named("img")
    assert "Not known: the pictures are not available" in page.text


def test_the_votes_of_people_stand_under_a_face(noisy, guessing):
    assert "unknown 2" in _page(guessing, noisy()).text
    without = _page(guessing, noisy(votes=False))
    assert "unknown 2" not in without.text
    assert without.named("img")


def test_saliency_shows_right_and_wrong_faces(noisy, guessing):
    dataset = noisy()
    evaluation = evaluate(guessing, dataset, model=IDENTITY)
    scores = main_sets(evaluation)[0]
    places = np.concatenate(examples(scores))
    maps = np.random.default_rng(0).random((len(places), 8, 8), dtype=np.float32)
    found = Saliency(scores.faces.key, "made up <for> a test", places, maps)
    base = Page(to_html(evaluation, Material(dataset=dataset)))
    page = Page(to_html(evaluation, Material(dataset=dataset, saliency=[found])))
    assert len(page.named("img")) == len(base.named("img")) + len(places)
    assert "made up <for> a test" in page.text
    hidden = Page(to_html(evaluation, Material(dataset=dataset, faces=False, saliency=[found])))
    assert not hidden.named("img")


def test_further_conditions_are_shown_where_they_are_known(noisy, guessing):
    dataset = noisy(20, 40, 80)
    size = np.where(np.arange(140) < 70, np.nan, np.arange(140.0))
    page = _page(guessing, dataset, conditions={"size": size})
    assert "Face size" in page.text
    assert "Face size" not in _page(guessing, dataset).text


def test_the_threshold_is_marked_with_what_it_leaves(noisy, guessing):
    dataset = noisy()
    evaluation = evaluate(guessing, dataset, model=IDENTITY)
    text = to_html(evaluation, Material(threshold=0.45))
    assert "Below a confidence of 0.45" in text
    assert "threshold 0.45" in text
    for scores in main_sets(evaluation):
        share, accuracy = scores.coverage.answered(0.45)
        sure = scores.confidence >= 0.45
        assert share == pytest.approx(sure.mean())
        assert accuracy == pytest.approx((scores.predicted == scores.faces.truth)[sure].mean())
    assert evaluation.sets[0].coverage.answered(1.1) == (0, pytest.approx(np.nan, nan_ok=True))


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((0, 0, 1), {}),
        ((0, 0, 30), {}),
        ((0, 30, 0), {}),
        ((20, 40, 50), {"votes": False}),
        ((0, 0, 1), {"votes": False}),
    ],
    ids=["one-face", "test-alone", "validation-alone", "no-votes", "one-face-no-votes"],
)
@pytest.mark.parametrize("predict", ["constant", "guessing"])
def test_the_report_comes_whatever_is_missing(make_dataset, sizes, options, predict, request, tmp_path):
    dataset = make_dataset(*sizes, **options)
    evaluation = evaluate(request.getfixturevalue(predict), dataset, model=ModelIdentity("toy"))
    files = write_report(evaluation, tmp_path, material=Material(dataset=dataset))
    page = Page(files[0].read_text())
    assert "nan" not in page.text.lower()
    assert {"report.html", "report.json", "report.md"} <= {path.name for path in files}


def test_an_absent_class_is_named_and_its_cells_are_dashes(make_dataset, constant):
    dataset = make_dataset(7, 0, 50)
    dataset.labels[dataset.labels == 1] = 0
    page = _page(constant, dataset)
    assert "No face of this set is labelled disgust." in page.text
    assert "no face is labelled disgust" in page.text
    assert "Macro F1 is the mean over 6 classes" in page.text
    assert "balanced accuracy over the 6 that have a face here" in page.text


@pytest.mark.parametrize("head", ["fer2013", "crowd"])
def test_a_model_with_one_head_gets_its_report(noisy, guessing, head):
    from mien.labels import HEADS

    dataset = noisy()
    votes = np.where(dataset.votes == 8, 10, 0).astype(np.uint8)
    dataset = replace(dataset, votes=votes)
    evaluation = evaluate(guessing, dataset, model=IDENTITY, heads={head: HEADS[head]})
    page = Page(to_html(evaluation, Material(dataset=dataset)))
    assert f"accuracy, head {head}" in page.text
    assert ("Not measured" in page.text) == (head == "fer2013")


def test_a_perfect_model_has_no_confusions_to_show(make_dataset, perfect):
    assert "there is no error" in _page(perfect, make_dataset()).text


def test_confusions_are_counted_and_ranked(make_dataset, constant):
    evaluation = evaluate(constant, make_dataset(0, 0, 35), model=IDENTITY)
    scores = next(found for found in evaluation.sets if found.faces.key == "fer2013-test")
    found = confusions(scores)
    assert [row.name for row in found] == [
        f"{name} as happy" for name in ("angry", "disgust", "fear", "neutral", "sad", "surprise")
    ]
    assert all((row.count, row.share) == (5, 1.0) for row in found)
    assert sum(row.errors for row in found) == pytest.approx(1)
    assert top_by_share(found) == found
    assert sorted(np.concatenate([row.rows for row in found])) == np.flatnonzero(scores.faces.truth != 3).tolist()
    assert len(confident_errors(scores, 7)) == 7
    right, wrong = examples(scores)
    assert (scores.predicted[right] == scores.faces.truth[right]).all()
    assert len(wrong) == 12


def test_the_surest_come_first(noisy, guessing):
    scores = main_sets(evaluate(guessing, noisy(), model=IDENTITY))[0]
    sure = scores.confidence[confident_errors(scores, 10)]
    assert (np.diff(sure) <= 0).all()
    assert sure[0] == scores.confidence[scores.predicted != scores.faces.truth].max()


def test_the_json_holds_what_the_page_shows(noisy, guessing, tmp_path):
    dataset = noisy(20, 40, 80)
    evaluation = evaluate(guessing, dataset, model=IDENTITY)
    material = Material(dataset=dataset, threshold=0.3)
    write_report(evaluation, tmp_path, material=material)
    found = json.loads((tmp_path / "report.json").read_text())
    assert found == to_dict(evaluation, threshold=0.3, conditions=by_condition(evaluation, material))
    assert set(found["confusions"]) == set(found["conditions"]) == set(found["abstaining"])
    assert found["abstaining"]["crowd-test"]["threshold"] == 0.3
    assert [row["name"] for row in found["conditions"]["crowd-test"]][:2] == ["brightness", "contrast"]
    bins = found["conditions"]["crowd-test"][0]["bins"]
    assert sum(part["rows"] for part in bins) == found["sets"]["crowd-test"]["rows"]


def test_a_runs_history_is_read_and_drawn(noisy, guessing, tmp_path):
    (tmp_path / "history.json").write_text(
        json.dumps({"identity": {"config": {"name": "my run"}}, "history": _history()})
    )
    run = load_run(tmp_path)
    assert run.name == "my run"
    page = _page(guessing, noisy(), run=run)
    assert "my run" in page.text
    assert "overfitting" in page.text
    assert any("loss, nats by epoch" in (chart["aria-label"] or "") for chart in page.named("svg"))


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_of_one_epoch_and_a_loss_that_is_no_number_are_drawn(noisy, guessing, epochs):
    history = _history(epochs)
    history[-1]["loss"] = float("nan")
    page = _page(guessing, noisy(), run=Run("short", history))
    assert not any("nan" in str(attributes.get("points", "")) for _, attributes in page.tags)


@pytest.mark.parametrize("text", ["", "[]", '{"history": []}', '{"history": [{"epoch": 0}]}', '{"history": [3]}'])
def test_a_folder_without_a_history_is_told(tmp_path, text):
    with pytest.raises(ArtifactError, match=r"history\.json"):
        load_run(tmp_path)
    (tmp_path / "history.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"history\.json"):
        load_run(tmp_path)


def test_ticks_are_round_and_lie_inside():
    assert nice_ticks(0.63, 0.81, 4) == [0.65, 0.7, 0.75, 0.8]
    assert nice_ticks(3, 3) == [3]
    assert [label for _, label in axis(0, 1, form=".0f", scale=100).ticks] == ["0", "20", "40", "60", "80", "100"]


def test_colours_and_large_faces_are_shown_small(make_dataset, guessing):
    dataset = make_dataset(0, 0, 30)
    large = np.random.default_rng(0).integers(0, 256, (30, 150, 120, 3), dtype=np.uint8)
    text = to_html(
        evaluate(guessing, replace(dataset, images=large), model=IDENTITY),
        Material(dataset=replace(dataset, images=large)),
    )
    assert "data:image/jpeg" in text
    assert len(text) < 1_500_000


def test_edges_of_bins_are_short():
    values = (0, 2.9e-5, 0.046, 0.15, 1.2, 9.96, 101, 1216, 9960, 32609)
    assert [edge(v) for v in values] == ["0", "0", "0.05", "0.15", "1.2", "10", "101", "1.2k", "10k", "33k"]
