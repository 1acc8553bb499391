from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')

from portraits import PORTRAIT, write_portrait_clip
from streamlit.testing.v1 import AppTest

from mien.apps.web.analyze import EXAMPLES
from mien.apps.web.server import REPORTS_VARIABLE

WAIT_S = 120


def show(view: str) -> None:
    import importlib

    from mien.apps.web import session

    session.begin()
    module, name = (view, "show") if view in ("analyze", "video") else ("pages", f"show_{view}")
    getattr(importlib.import_module(f"mien.apps.web.{module}"), name)()
    session.offer_to_forget()


def open_page(view: str) -> AppTest:
    app = AppTest.from_function(show, args=(view,), default_timeout=WAIT_S).run()
    assert not app.exception
    return app


def html_of(app: AppTest) -> str:
    return "\n".join(element.proto.body for element in app.get("html"))


def test_analyze_reads_what_is_dropped_and_tells_what_it_cannot() -> None:
    app = open_page("analyze")
    assert "Private" in html_of(app)
    files = [("a.jpg", PORTRAIT.read_bytes(), "image/jpeg"), ("b_*.jpg", b"nothing", "image/jpeg")]
    app.file_uploader[0].set_value(files)
    app.run()
    assert not app.exception
    assert ">happy</div>" in html_of(app)
    assert "b\\_\\*.jpg" in app.error[0].value
    assert [button.label for button in app.download_button] == ["CSV", "JSON", "Annotated photo"]
    app.slider[0].set_value(100).run()
    assert ">not sure</div>" in html_of(app)


def test_analyze_forgets() -> None:
    app = open_page("analyze")
    app.file_uploader[0].set_value([("a.jpg", PORTRAIT.read_bytes(), "image/jpeg")])
    app.run()
    assert len(app.session_state["readings"]) == 1
    next(button for button in app.button if button.label == "Forget everything").click()
    app.run()
    assert not app.exception
    assert not app.session_state["readings"]
    assert not app.get("imgs")
    assert not app.file_uploader[0].value


def test_an_example_is_a_click_away_and_eight_has_contempt() -> None:
    app = open_page("analyze")
    app.button_group[0].set_value("Example").run()
    assert ">happy</div>" in html_of(app)
    labels = next(group for group in app.button_group if group.label == "Labels")
    labels.set_value("eight").run()
    assert not app.exception
    assert ">contempt</th>" in html_of(app)


def test_the_empty_page_has_examples_to_try() -> None:
    app = open_page("analyze")
    next(button for button in app.button if button.label == "Grace Hopper").click()
    app.run()
    assert not app.exception
    assert app.button_group[0].value == "Example"
    assert "grace_hopper.jpg" in app.caption[0].value or any("grace" in text.value for text in app.caption)
    assert not [button for button in app.button if button.label == "Grace Hopper"]
    for code, said in zip(app.code, ('mien.analyze("grace_hopper.jpg")', "mien analyze", "curl -F"), strict=True):
        assert said in code.value


def test_many_photos_are_a_grid_with_filter_and_order() -> None:
    app = open_page("analyze")
    other = EXAMPLES["Grace Hopper"].read_bytes()
    files = [
        (f"{name}.jpg", data, "image/jpeg")
        for name, data in zip("dcba", [PORTRAIT.read_bytes(), other] * 2, strict=True)
    ]
    app.file_uploader[0].set_value(files)
    app.run()
    assert not app.exception
    captions = [text.value for text in app.caption if ".jpg:" in text.value]
    assert [text[0] for text in captions] == list("dcba")
    order = next(box for box in app.selectbox if box.label == "Order")
    order.set_value("Name").run()
    assert [text.value[0] for text in app.caption if ".jpg:" in text.value] == list("abcd")
    pills = next(group for group in app.button_group if group.label == "Expression")
    pills.set_value(["happy"]).run()
    kept = [text.value for text in app.caption if ".jpg:" in text.value]
    assert {text[0] for text in kept} >= {"b", "d"}
    assert all("happy" in text for text in kept)
    # Before the photos, so that nobody scrolls for them.
    assert [button.label for button in app.download_button] == ["CSV", "JSON", "Annotated photos"]


def test_balance_reads_anew_and_is_said() -> None:
    app = open_page("analyze")
    app.button_group[0].set_value("Example").run()
    balance = next(slider for slider in app.slider if slider.label == "Balance")
    balance.set_value(100).run()
    assert not app.exception
    readings = list(app.session_state["readings"].values())
    assert [reading.model.endswith(" +balance1") for reading in readings] == [False, True]
    before, after = (reading.faces[0].probabilities for reading in readings)
    assert after["disgust"] > before["disgust"]


def test_video_reads_a_video(tmp_path: Path) -> None:
    app = open_page("video")
    assert "Private" in html_of(app)
    clip = write_portrait_clip(tmp_path / "clip.mp4", frames=6)
    app.file_uploader[0].set_value(("clip.mp4", clip.read_bytes(), "video/mp4"))
    app.run()
    next(button for button in app.button if button.label == "Analyze video").click()
    app.run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Frames"] == "12"
    assert "happy" in html_of(app)
    assert "Intervals, ELAN" in [button.label for button in app.download_button]
    # The result stays when something else on the page changes.
    app.checkbox[0].check().run()
    assert app.metric


def test_video_tells_what_is_no_video() -> None:
    app = open_page("video")
    app.file_uploader[0].set_value(("clip.mp4", b"nothing", "video/mp4"))
    app.run()
    next(button for button in app.button if button.label == "Analyze video").click()
    app.run()
    assert not app.exception
    assert app.error


def test_models_are_listed_chosen_and_compared(toy_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy_artifact.parent)
    app = open_page("models")
    assert "mien-s" in html_of(app)
    assert "working folder" in html_of(app)
    assert html_of(app).count('class="mien-face"') == 2
    options = app.selectbox[0].options
    assert "./toy 1.0 · crowd" in options
    app.selectbox[0].select_index(options.index("./toy 1.0 · crowd")).run()
    assert not app.exception
    assert app.session_state["choice"].reference == "./toy"


def test_a_damaged_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.onnx").write_bytes(b"")
    (tmp_path / "broken" / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert "broken" in open_page("models").warning[0].value


def test_reports_are_shown_or_it_says_how_to_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REPORTS_VARIABLE, str(tmp_path))
    assert "no reports" in open_page("reports").info[0].value
    (tmp_path / "study.html").write_text("<h1>A study</h1>")
    app = open_page("reports")
    assert app.get("iframe")
    assert app.download_button[0].label == "Download"


def test_about_tells_limits_and_law() -> None:
    app = open_page("about")
    text = "\n".join(element.value for element in app.markdown)
    for said in ("not a feeling", "5(1)(f)", "at work or in education", "no telemetry"):
        assert said in text
    assert "PrivateTest" in html_of(app)
