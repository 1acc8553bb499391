from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.reading.summary import Episode
from mien.reading.thresholds import ThresholdInterval
from mien.sinks.intervals import write_episodes

FOUND = [
    Episode(1, 0.0, 1.5004, "happy", 0.81234, 38),
    Episode(2, 0.48, 0.4801, "fear", 0.5, 1),
    Episode(1, 1.5004, 2.0, "sad", 0.7, 12),
]


def test_a_table_of_intervals(tmp_path: Path) -> None:
    write_episodes(tmp_path / "e.csv", {"a, b.mp4": FOUND, "c.mp4": []})
    first, second, _ = csv.DictReader((tmp_path / "e.csv").read_text().splitlines())
    assert first == {
        "source": "a, b.mp4", "track_id": "1", "start_s": "0.000", "end_s": "1.500", "duration_s": "1.500",
        "label": "happy", "mean_confidence": "0.8123", "frames": "38", "mean_value": "",
    }  # fmt: skip
    assert second["track_id"] == "2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.csv"]


def test_intervals_beyond_a_threshold_stand_beside_expressions(tmp_path: Path) -> None:
    beyond = ThresholdInterval(1, 0.2, 1.8, "valence < -0.3", -0.51, 40)
    write_episodes(tmp_path / "e.csv", {"a.mp4": [*FOUND, beyond]})
    row = list(csv.DictReader((tmp_path / "e.csv").read_text().splitlines()))[-1]
    assert (row["label"], row["mean_confidence"], row["mean_value"]) == ("valence < -0.3", "", "-0.5100")
    write_episodes(tmp_path / "e.eaf", {"a.mp4": [*FOUND, beyond]})
    root = ET.parse(tmp_path / "e.eaf").getroot()
    names = [tier.attrib["TIER_ID"] for tier in root.iter("TIER")]
    assert names == ["face 1", "face 1, valence < -0.3", "face 2"]


def test_an_elan_document(tmp_path: Path) -> None:
    media = tmp_path / "clips" / "größe 1.mp4"
    media.parent.mkdir()
    media.write_bytes(b"")
    write_episodes(tmp_path / "e.eaf", {str(media): FOUND})
    root = ET.parse(tmp_path / "e.eaf").getroot()
    assert [child.tag for child in root] == ["HEADER", "TIME_ORDER", "TIER", "TIER", "LINGUISTIC_TYPE"]
    assert root[0][0].attrib == {
        "MEDIA_URL": media.as_uri(), "MIME_TYPE": "video/mp4", "RELATIVE_MEDIA_URL": "./clips/größe 1.mp4",
    }  # fmt: skip
    times = {slot.attrib["TIME_SLOT_ID"]: int(slot.attrib["TIME_VALUE"]) for slot in root[1]}
    assert list(times.values()) == sorted(times.values())
    assert tiers(root, times) == {
        "face 1": [("happy", 0, 1500), ("sad", 1500, 2000)],
        "face 2": [("fear", 480, 481)],
    }
    identifiers = [entry.attrib["ANNOTATION_ID"] for entry in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(identifiers)) == len(FOUND)


def test_a_text_grid_covers_its_time_without_a_gap(tmp_path: Path) -> None:
    further = [Episode(1, 2.5, 3.25, "happy", 0.7, 12), ThresholdInterval(1, 0.2, 1.8, "valence < -0.3", -0.51, 40)]
    write_episodes(tmp_path / "e.TextGrid", {"a.mp4": [*FOUND, *further]})
    text = (tmp_path / "e.TextGrid").read_text("utf-8")
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 3.2500\n')
    found = {}
    for tier in text.split("    item [")[1:]:
        (name,) = re.findall(r'name = "(.*)"', tier)
        spans = re.findall(r'intervals \[\d+\]:\n +xmin = ([\d.]+)\n +xmax = ([\d.]+)\n +text = "(.*)"', tier)
        assert int(re.findall(r"size = (\d+)", tier)[0]) == len(spans)
        assert [end for _, end, _ in spans[:-1]] == [start for start, _, _ in spans[1:]]
        assert (float(spans[0][0]), float(spans[-1][1])) == (0, 3.25)
        found[name] = [(float(start), float(end), label) for start, end, label in spans if label]
    assert found == {
        "face 1": [(0, 1.5004, "happy"), (1.5004, 2.0, "sad"), (2.5, 3.25, "happy")],
        "face 1, valence < -0.3": [(0.2, 1.8, "valence < -0.3")], "face 2": [(0.48, 0.4801, "fear")],
    }  # fmt: skip


def test_a_text_grid_without_a_face_has_an_empty_tier(tmp_path: Path) -> None:
    write_episodes(tmp_path / "e.textgrid", {"a.mp4": []})
    text = (tmp_path / "e.textgrid").read_text()
    assert "size = 1\n" in text
    assert text.count('text = ""') == 1
    with pytest.raises(ConfigError, match="one recording, not 2"):
        write_episodes(tmp_path / "f.TextGrid", {"a.mp4": FOUND, "b.mp4": FOUND})


def tiers(root: ET.Element, times: dict[str, int]) -> dict[str, list[tuple[str | None, int, int]]]:
    return {
        tier.attrib["TIER_ID"]: [
            (
                entry.findtext("ANNOTATION_VALUE"),
                times[entry.attrib["TIME_SLOT_REF1"]],
                times[entry.attrib["TIME_SLOT_REF2"]],
            )
            for entry in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in root.iter("TIER")
    }


def test_a_source_that_is_no_file_has_no_medium(tmp_path: Path) -> None:
    write_episodes(tmp_path / "e.eaf", {"camera:0": []})
    root = ET.parse(tmp_path / "e.eaf").getroot()
    assert root.find("HEADER/MEDIA_DESCRIPTOR") is None
    assert root.findall("TIER") == []


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one recording, not 2"):
        write_episodes(tmp_path / "e.eaf", {"a.mp4": FOUND, "b.mp4": FOUND})
    with pytest.raises(ConfigError, match=r"\.csv, \.eaf"):
        write_episodes(tmp_path / "e.txt", {"a.mp4": FOUND})
    assert list(tmp_path.iterdir()) == []
