"""`/v1/videos` and `/v1/jobs`: from upload to result, limits, keys, bad input, and a service that is killed."""

from __future__ import annotations

import csv
import io
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from clips import write_clip
from service_runs import PATIENCE_S, InProcess, Process, running, serving

from mien.apps.service.admission import hash_key
from mien.apps.service.jobs_files import UPLOAD
from mien.apps.service.jobs_runner import Jobs
from mien.faces.detectors import WholePicture
from mien.reading.classifier import load_model
from mien.reading.pipeline import Pipeline
from mien.structures import Detections

FRAMES = 10
TIMES_S = [index / 10 for index in range(FRAMES)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", TIMES_S).read_bytes()


@pytest.fixture(scope="module")
def service(toy_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    folder = tmp_path_factory.mktemp("videos")
    limits = {"max_video_mb": 1, "max_video_s": 60, "max_pixels": 100_000}
    with running(toy_artifact, state_dir=folder / "state", **limits) as started:
        yield started


def submit(service: InProcess, video: bytes, query: str = "", **given: Any) -> httpx.Response:
    headers = {"Content-Type": "video/mp4"} | given.pop("headers", {})
    return service.request("POST", f"/v1/videos{query}", content=video, headers=headers, **given)


def wait_over(service: InProcess, job_id: str, **given: Any) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while (job := service.get(f"/v1/jobs/{job_id}", **given).json())["state"] in ("queued", "running"):
        assert time.monotonic() < end, job
        time.sleep(0.01)
    return dict(job)


def wait_gone(path: Path) -> None:
    """A job is over before its upload is deleted, so that a kill in between loses no result."""
    end = time.monotonic() + PATIENCE_S
    while path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    return answer.status_code, document["type"].removeprefix("urn:mien:problem:")


def test_a_video_becomes_a_job_and_its_result(service: InProcess, clip: bytes) -> None:
    answer = submit(service, clip, "?name=film.mp4")
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    done = wait_over(service, job["id"])
    assert (done["state"], done["frames"], done["progress"], done["name"]) == ("done", FRAMES, 1.0, "film.mp4")
    assert done["expires"] > done["ended"]
    result = service.get(done["links"]["result"]).json()
    assert [row["frame"] for row in result["rows"]] == list(range(FRAMES))
    assert [row["time_s"] for row in result["rows"]] == pytest.approx(TIMES_S, abs=0.002)
    assert {row["source"] for row in result["rows"]} == {"film.mp4"}
    assert all(tuple(row) == tuple(result["columns"]) for row in result["rows"])
    assert result["summary"]["frames"] == FRAMES
    assert sum(episode["frames"] for episode in result["episodes"]) <= FRAMES


def test_rows_come_as_csv_too_and_episodes_by_themselves(service: InProcess, clip: bytes) -> None:
    job_id = submit(service, clip).json()["id"]
    wait_over(service, job_id)
    whole = service.get(f"/v1/jobs/{job_id}/result").json()
    table = service.get(f"/v1/jobs/{job_id}/result?form=csv")
    assert table.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(table.text)))
    assert [line["top"] for line in lines] == [row["top"] for row in whole["rows"]]
    episodes = service.get(f"/v1/jobs/{job_id}/result?form=episodes").json()
    assert "rows" not in episodes
    assert episodes["episodes"] == whole["episodes"]
    assert problem(service.get(f"/v1/jobs/{job_id}/result?form=xml")) == (422, "invalid-request")


def test_options_stand_in_the_address_or_in_the_form(service: InProcess, clip: bytes) -> None:
    by_address = submit(service, clip, "?every=2&track=false&labels=eight").json()
    fields = {"every": "2", "track": "false", "labels": "eight"}
    by_form = service.request("POST", "/v1/videos", files={"file": ("a.mp4", clip)}, data=fields).json()
    assert by_address["options"] == by_form["options"]
    results = []
    for job in (by_address, by_form):
        wait_over(service, job["id"])
        results.append(service.get(f"/v1/jobs/{job['id']}/result").json())
    assert [[row["frame"] for row in result["rows"]] for result in results] == [[0, 2, 4, 6, 8]] * 2
    assert all("contempt" in result["labels"] and "raw_top" not in result["columns"] for result in results)


def test_nothing_of_a_video_stays_but_its_result(service: InProcess, clip: bytes) -> None:
    job_id = submit(service, clip).json()["id"]
    wait_over(service, job_id)
    store = service.service.jobs.store
    wait_gone(store.files.path(job_id, UPLOAD))
    assert {path.name for path in (store.folder / "jobs" / job_id).iterdir()} == {"rows.jsonl", "outcome.json"}
    assert not list(store.incoming.iterdir())
    assert service.request("DELETE", f"/v1/jobs/{job_id}").status_code == 204
    assert not (store.folder / "jobs" / job_id).exists()
    assert problem(service.get(f"/v1/jobs/{job_id}")) == (404, "not-found")
    assert problem(service.request("DELETE", f"/v1/jobs/{job_id}")) == (404, "not-found")


def test_names_are_shown_and_never_paths(service: InProcess, clip: bytes) -> None:
    files = {"file": ("../../../etc/pass\x07wd.mp4", clip)}
    job = service.request("POST", "/v1/videos", files=files).json()
    assert "/" not in job["name"]
    wait_over(service, job["id"])
    folder = service.service.jobs.store.folder
    assert not list(folder.rglob("*passwd*"))


@pytest.mark.parametrize("job_id", ["0" * 32, "nothing", "..%2F..%2Fetc", "%00", "A" * 32])
@pytest.mark.parametrize("ending", ["", "/result"])
def test_unknown_jobs(service: InProcess, job_id: str, ending: str) -> None:
    assert problem(service.get(f"/v1/jobs/{job_id}{ending}"))[0] == 404


def make_moov_late(clip: bytes) -> bytes:
    """The first half of a video whose index lies at its end."""
    return clip[: len(clip) // 2]


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/hostname.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("video", "expected"),
    [
        (b"", (400, "no-video")),
        (b"this is no video", (422, "not-a-video")),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), (422, "not-a-video")),
        (bytes(range(256)) * 40, (422, "not-a-video")),
        (PLAYLIST, (422, "not-a-video")),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", (422, "not-a-video")),
        (b"v=0\nc=IN IP4 127.0.0.1\nm=video 5000 RTP/AVP 96\n", (422, "not-a-video")),
        (bytes(2**20 + 1), (413, "body-too-large")),
    ],
    ids=["empty", "text", "image", "noise", "playlist", "concat", "sdp", "huge"],
)
def test_what_is_no_video_is_refused_at_once(service: InProcess, video: bytes, expected: tuple[int, str]) -> None:
    assert problem(submit(service, video)) == expected
    assert not list(service.service.jobs.store.incoming.iterdir())


def test_a_truncated_video_without_its_index(service: InProcess, clip: bytes) -> None:
    answer = submit(service, make_moov_late(clip))
    assert problem(answer) == (422, "not-a-video")
    assert "moov" in answer.json()["detail"]


def test_a_video_that_breaks_off_gives_what_there_is(service: InProcess, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "long.mkv", [index / 10 for index in range(60)]).read_bytes()
    job = submit(service, whole[: len(whole) // 2], "?name=long.mkv").json()
    done = wait_over(service, job["id"])
    assert (done["state"], 0 < done["frames"] < 60) == ("done", True)
    assert done["notice"].startswith("long.mkv: breaks off")
    assert "state" not in done["notice"]
    assert service.get(f"/v1/jobs/{job['id']}/result").json()["notice"] == done["notice"]


def test_ten_hours_are_too_long_unless_a_part_is_asked_for(service: InProcess, tmp_path: Path) -> None:
    long = write_clip(tmp_path / "long.mp4", [0.0, 0.1, 0.2, 36_000.0]).read_bytes()
    assert problem(submit(service, long)) == (422, "video-too-long")
    job = submit(service, long, "?end_s=0.45")
    assert job.status_code == 202
    assert wait_over(service, job.json()["id"])["frames"] == 3


def test_frames_with_too_many_pixels(service: InProcess, tmp_path: Path) -> None:
    large = write_clip(tmp_path / "large.mp4", [0.0, 0.1], size=(400, 400)).read_bytes()
    assert problem(submit(service, large)) == (413, "image-too-large")


@pytest.mark.parametrize(
    "query", ["?every=0", "?labels=nine", "?start_s=-1", "?start_s=5&end_s=2", "?end_s=nan", "?rate_hz=0", "?no=1"]
)
def test_options_that_cannot_be_used(service: InProcess, clip: bytes, query: str) -> None:
    assert problem(submit(service, clip, query)) == (422, "invalid-request")


def test_forms_that_cannot_be_used(service: InProcess, clip: bytes) -> None:
    post = service.request
    two = [("file", ("a.mp4", clip)), ("file", ("b.mp4", clip))]
    assert problem(post("POST", "/v1/videos", files=two)) == (400, "malformed-request")
    assert problem(post("POST", "/v1/videos", files={"every": (None, "2")})) == (400, "no-video")
    field = {"file": ("a.mp4", clip), "every": (None, "many")}
    assert problem(post("POST", "/v1/videos", files=field)) == (422, "invalid-request")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert problem(post("POST", "/v1/videos", content=b"--x\r\nnonsense", headers=headers)) == (
        400,
        "malformed-request",
    )
    assert problem(post("POST", "/v1/videos", content=b"", headers=headers)) == (400, "malformed-request")
    text = {"Content-Type": "text/plain"}
    assert problem(post("POST", "/v1/videos", content=clip, headers=text)) == (415, "unsupported-media-type")


def test_too_many_frames_end_with_a_notice(toy_artifact: Path, tmp_path: Path, clip: bytes) -> None:
    with running(toy_artifact, state_dir=tmp_path, max_video_frames=4) as service:
        done = wait_over(service, submit(service, clip).json()["id"])
    assert (done["state"], done["frames"]) == ("done", 4)
    assert "limit of 4 frames" in done["notice"]


def test_a_service_may_take_no_videos(toy_artifact: Path, tmp_path: Path, clip: bytes) -> None:
    with running(toy_artifact, state_dir=tmp_path / "none", video_queue=0) as service:
        assert problem(submit(service, clip)) == (404, "not-found")
        assert service.get("/readyz").status_code == 200
    assert not (tmp_path / "none").exists()


def test_a_job_is_seen_by_its_own_key_alone(toy_artifact: Path, tmp_path: Path, clip: bytes) -> None:
    keys = {"ann": hash_key("key-of-ann"), "bob": hash_key("key-of-bob")}
    ann, bob = ({"headers": {"X-API-Key": key}} for key in ("key-of-ann", "key-of-bob"))
    with running(toy_artifact, state_dir=tmp_path, api_keys=keys) as service:
        assert problem(submit(service, clip)) == (401, "unauthorized")
        job_id = submit(service, clip, **ann).json()["id"]
        wait_over(service, job_id, **ann)
        for method, ending in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
            assert problem(service.request(method, f"/v1/jobs/{job_id}{ending}", **bob)) == (404, "not-found")
            assert problem(service.request(method, f"/v1/jobs/{job_id}{ending}")) == (401, "unauthorized")
        assert service.get(f"/v1/jobs/{job_id}/result", **ann).status_code == 200


class Gate(WholePicture):
    """A detector that waits at the second frame until it is let on."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self.frames = 0

    def detect(self, image: np.ndarray[Any, Any]) -> Detections:
        self.frames += 1
        if self.frames == 2:
            self.reached.set()
            assert self.open.wait(PATIENCE_S)
        return super().detect(image)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, toy_artifact: Path) -> Iterator[Gate]:
    gate, model = Gate(), load_model(toy_artifact)
    monkeypatch.setattr(Jobs, "_create_pipeline", lambda *_: Pipeline(model, detector=gate))
    yield gate
    gate.open.set()


def test_a_running_job_can_be_cancelled(toy_artifact: Path, tmp_path: Path, clip: bytes, gate: Gate) -> None:
    with running(toy_artifact, state_dir=tmp_path) as service:
        job_id = submit(service, clip).json()["id"]
        assert gate.reached.wait(PATIENCE_S)
        assert service.get(f"/v1/jobs/{job_id}").json()["state"] == "running"
        early = service.get(f"/v1/jobs/{job_id}/result")
        assert problem(early) == (409, "not-done")
        cancelled = service.request("DELETE", f"/v1/jobs/{job_id}")
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        gate.open.set()
        assert problem(service.get(f"/v1/jobs/{job_id}/result")) == (409, "job-failed")
        following = wait_over(service, submit(service, clip).json()["id"])
        assert following["state"] == "done"
        assert service.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
        assert not (service.service.jobs.store.folder / "jobs" / job_id).exists()
        assert service.request("DELETE", f"/v1/jobs/{job_id}").status_code == 204
        assert problem(service.get(f"/v1/jobs/{job_id}")) == (404, "not-found")


def test_what_waits_is_bounded_and_keeps_its_order(toy_artifact: Path, tmp_path: Path, clip: bytes, gate: Gate) -> None:
    with running(toy_artifact, state_dir=tmp_path, video_queue=2) as service:
        first = submit(service, clip).json()["id"]
        assert gate.reached.wait(PATIENCE_S)
        waiting = [submit(service, clip).json() for _ in range(2)]
        assert [job["ahead"] for job in waiting] == [0, 1]
        refused = submit(service, clip)
        assert problem(refused) == (503, "too-many-jobs")
        assert int(refused.headers["retry-after"]) > 0
        assert service.request("DELETE", f"/v1/jobs/{waiting[0]['id']}").json()["state"] == "cancelled"
        gate.open.set()
        assert {wait_over(service, job_id)["state"] for job_id in (first, waiting[1]["id"])} == {"done"}


def test_an_orderly_end_hands_the_job_on(toy_artifact: Path, tmp_path: Path, clip: bytes, gate: Gate) -> None:
    with running(toy_artifact, state_dir=tmp_path) as service:
        job_id = submit(service, clip).json()["id"]
        assert gate.reached.wait(PATIENCE_S)
        threading.Timer(0.1, gate.open.set).start()
    with running(toy_artifact, state_dir=tmp_path) as service:
        done = wait_over(service, job_id)
        rows = service.get(f"/v1/jobs/{job_id}/result").json()["rows"]
    assert (done["state"], len(rows)) == ("done", FRAMES)


def test_an_expired_result_is_gone(toy_artifact: Path, tmp_path: Path, clip: bytes) -> None:
    with running(toy_artifact, state_dir=tmp_path, video_keep_s=1000) as service:
        job_id = submit(service, clip).json()["id"]
        wait_over(service, job_id)
        store = service.service.jobs.store
        store._clock = lambda: time.time() + 1001
        assert problem(service.get(f"/v1/jobs/{job_id}/result")) == (410, "expired")
        assert service.get(f"/v1/jobs/{job_id}").json()["state"] == "expired"


@pytest.mark.data
def test_a_face_that_turns_from_neutral_to_happy(shared: Path, tmp_path: Path) -> None:
    clip = shared / "data" / "photos" / "single_face.mp4"
    empty = shared / "data" / "photos" / "no_face.mp4"
    with running("mien-s", state_dir=tmp_path, detector="haar") as service:  # type: ignore[arg-type]
        job_id = submit(service, clip.read_bytes(), "?rate_hz=6").json()["id"]
        nobody = submit(service, empty.read_bytes(), "?rate_hz=1").json()["id"]
        wait_over(service, job_id)
        wait_over(service, nobody)
        episodes = service.get(f"/v1/jobs/{job_id}/result?form=episodes").json()["episodes"]
        rows = service.get(f"/v1/jobs/{nobody}/result").json()["rows"]
    assert [episode["label"] for episode in episodes] == ["neutral", "happy"]
    assert {row["success"] for row in rows} == {0}


def test_a_killed_service_takes_its_job_up_again(toy_artifact: Path, tmp_path: Path) -> None:
    count = 100
    clip = write_clip(tmp_path / "long.mp4", [index / 25 for index in range(count)], size=(240, 320))
    settings = {"state_dir": str(tmp_path / "state"), "detector": "haar"}
    process = Process(toy_artifact, tmp_path, **settings)
    try:
        process.wait_ready()
        with process.client() as client:
            job_id = client.post("/v1/videos", files={"file": clip.read_bytes()}).json()["id"]
            process._wait(lambda: client.get(f"/v1/jobs/{job_id}").json()["frames"] > 0)
    finally:
        process.kill()
    with serving(toy_artifact, tmp_path, **settings) as again, again.client() as client:
        again._wait(lambda: client.get(f"/v1/jobs/{job_id}").json()["state"] == "done")
        rows = client.get(f"/v1/jobs/{job_id}/result").json()["rows"]
    assert [row["frame"] for row in rows] == list(range(count))


def test_a_client_that_leaves_while_it_sends(toy_artifact: Path, tmp_path: Path, clip: bytes) -> None:
    with serving(toy_artifact, tmp_path, state_dir=str(tmp_path / "state")) as process:
        head = (
            "POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n"
            f"Content-Length: {len(clip)}\r\n\r\n"
        ).encode()
        with process.connect() as leaving:
            leaving.sendall(head + clip[:1000])
            process._wait(lambda: any((tmp_path / "state" / "incoming").iterdir()))
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        process._wait(lambda: not any((tmp_path / "state" / "incoming").iterdir()))
        with process.client() as client:
            assert client.post("/v1/videos", files={"file": clip}).status_code == 202
    assert all("exception" not in json.loads(line) for line in process.log.read_text().splitlines())
