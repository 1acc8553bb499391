from __future__ import annotations

from pathlib import Path

from commands import invoke
from toy_clips import make_clips

from mien.errors import DataError
from mien.workshop.data.clip_folder import write_clips


def test_clips_are_trained_on_stopped_and_resumed(toy_artifact: Path, tmp_path: Path) -> None:
    clips = write_clips(make_clips(4, 2, 0), tmp_path / "clips")
    config, out = tmp_path / "clips.toml", tmp_path / "run"
    config.write_text(
        f"[clips]\nframes = '{toy_artifact}'\nrate_hz = 10\nlength_s = 2\n[model]\nwidth = 8\n"
        "[fit]\nepochs = 2\nbatch_size = 2\n"
    )
    first = invoke("train", str(config), str(clips), "--out", str(out), "--stop-after", "1")
    assert first.exit_code == 75, first.output
    assert "4 sequences to train on, 2 to validate with" in first.output
    second = invoke("train", str(config), str(clips), "--out", str(out))
    assert second.exit_code == 0, second.output
    assert "frame" in second.output
    refused = invoke("train", str(config), str(clips), "--out", str(out), "--devices", "2")
    assert "a training on clips has one device" in str(refused.exception)


def test_the_template_fits_the_data(tmp_path: Path) -> None:
    clips = write_clips(make_clips(2, 1, 0), tmp_path / "clips")
    made = invoke("train", "--init", str(tmp_path / "new.toml"), str(clips))
    assert made.exit_code == 0, made.output
    text = (tmp_path / "new.toml").read_text()
    assert "[clips]" in text
    assert "rate_hz = 15.0  # steps a second" in text


def test_a_wrong_table_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip,source,split\na,gone.mp4,train\n")
    (tmp_path / "clips.toml").write_text("[clips]\n")
    found = invoke("train", str(tmp_path / "clips.toml"), str(tmp_path), "--out", str(tmp_path / "run"))
    assert isinstance(found.exception, DataError)
    assert "gone.mp4: no such file or folder" in str(found.exception)
