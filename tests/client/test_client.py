"""`mien.client` against a made-up service, and what it sends and understands."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.errors import ConfigError, MienError, SourceError
from mien.images.pictures import decode

httpx = pytest.importorskip("httpx", reason="needs httpx")

from mien.client import (
    AsyncClient,
    AsyncJob,
    Client,
    ConnectionFailedError,
    InvalidRequestError,
    Job,
    JobFailedError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    ServiceError,
    TooLargeError,
    UnauthorizedError,
    WaitedTooLongError,
)
from mien.client.images import encode_png

PROBLEM_TYPE = "application/problem+json"
FACE = {
    "face": 0, "top": "happy", "confidence": 0.9, "abstained": False, "probabilities": {"happy": 0.9, "sad": 0.1},
    "box": {"x": 1, "y": 2, "width": 3, "height": 4}, "landmarks": [[1, 2]], "detection_score": 0.8,
    "something_new": True,
}  # fmt: skip


def problem(kind: str, status: int, headers: dict[str, str] | None = None) -> httpx.Response:
    document = {
        "type": f"urn:mien:problem:{kind}", "title": "Title", "status": status, "detail": "detail",
        "instance": "urn:mien:request:abc",
    }  # fmt: skip
    headers = {"content-type": PROBLEM_TYPE} | (headers or {})
    return httpx.Response(status, headers=headers, content=json.dumps(document))


def image(**values: Any) -> dict[str, Any]:
    return {"width": 10, "height": 20, "faces": [FACE], "error": None} | values


def analysis(*images: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"images": list(images), "model": "toy 1.0", "detector": "haar"})


def job(state: str, **values: Any) -> dict[str, Any]:
    return {
        "id": "1" * 32, "state": state, "name": "video.mp4", "progress": 0.5, "frames": 5, "faces": 6, "eta_s": 1.0,
        "ahead": None, "notice": None, "error": None,
    } | values  # fmt: skip


class Script:
    """A service that gives its answers one after another and keeps what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


Connect = Callable[..., Any]


class Awaited:
    """An `AsyncClient` or `AsyncJob` with the methods of `Client` or `Job`: each is awaited to its end."""

    def __init__(self, given: AsyncClient | AsyncJob) -> None:
        self.given = given

    def __enter__(self) -> Awaited:
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run(self.given.close())

    def __repr__(self) -> str:
        return repr(self.given)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.given, name)
        if not callable(found):
            return found

        async def run(*arguments: Any, **options: Any) -> Any:
            came = found(*arguments, **options)
            came = [one async for one in came] if inspect.isasyncgen(came) else await came
            return self if came is self.given else Awaited(came) if isinstance(came, AsyncJob) else came

        return lambda *arguments, **options: asyncio.run(run(*arguments, **options))


@pytest.fixture(params=["client", "async client"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Makes a client of a script; it does not really wait."""

    async def no_time(seconds: float) -> None:
        pass

    def make(script: Script, **given: Any) -> Any:
        kind = Client if request.param == "client" else AsyncClient
        client = kind("http://service/prefix", transport=httpx.MockTransport(script), **given)
        client._sleep = (lambda seconds: None) if kind is Client else no_time
        return client if isinstance(client, Client) else Awaited(client)

    return make


def test_faces_are_typed(connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"jpeg")
    script = Script(analysis(image()))
    with connect(script, api_key="secret") as client:
        (result,) = client.analyze(path, labels="eight", boxes_only=False, model=None)
    (face,) = result.faces
    assert (result.source, result.width, result.model, result.error) == (str(path), 10, "toy 1.0", None)
    assert (face.top, face.box.width, face.landmarks, face.abstained) == ("happy", 3, ((1, 2),), False)
    (request,) = script.asked
    assert request.url == "http://service/prefix/v1/analyze?labels=eight&boxes_only=false"
    assert request.headers["authorization"] == "Bearer secret"
    assert b'filename="a.jpg"' in request.content
    assert str(tmp_path).encode() not in request.content


def test_many_images_travel_in_groups_and_keep_their_order(connect: Connect) -> None:
    script = Script(analysis(*[image(width=n) for n in range(8)]), analysis(*[image(width=n) for n in (8, 9)]))
    with connect(script) as client:
        results = client.analyze(bytes([n]) for n in range(10))
    assert [result.width for result in results] == list(range(10))
    assert [result.source for result in results] == [f"image {n}" for n in range(1, 11)]


def test_a_bad_image_stops_no_other(connect: Connect) -> None:
    error = json.loads(problem("damaged-image", 422).content)
    script = Script(analysis(image(), image(width=None, height=None, faces=[], error=error)))
    with connect(script) as client:
        good, bad = client.analyze([b"good", b"bad"])
    assert good.error is None
    assert isinstance(bad.error, InvalidRequestError)
    assert bad.error.kind == "damaged-image"


def test_images_none_of_which_can_be_read(connect: Connect) -> None:
    script = Script(*[problem("not-an-image", 422)] * 2, problem("image-too-large", 413))
    with connect(script) as client:
        first, second = client.analyze([b"bad", b"worse"])
    assert isinstance(first.error, InvalidRequestError)
    assert isinstance(second.error, TooLargeError)


def test_a_refused_option_is_raised(connect: Connect) -> None:
    with connect(Script(problem("invalid-request", 422))) as client, pytest.raises(InvalidRequestError) as error:
        client.analyze([b"one", b"two"], labels="nine")
    assert (error.value.request_id, error.value.status, error.value.detail) == ("abc", 422, "detail")


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7), (1, 1, 3)])
def test_arrays_arrive_as_they_are(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    arrived = decode(encode_png(array))
    np.testing.assert_array_equal(arrived if len(shape) == 3 else arrived[:, :, 0], array)
    np.testing.assert_array_equal(decode(encode_png(array[:, ::-1])), decode(encode_png(array))[:, ::-1])


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), 7])
def test_what_is_no_image_is_not_sent(connect: Connect, wrong: Any) -> None:
    with connect(Script()) as client, pytest.raises(ConfigError):
        client.analyze([wrong])


def test_files_that_are_not_there(connect: Connect, tmp_path: Path) -> None:
    with connect(Script()) as client:
        with pytest.raises(SourceError, match="cannot be read"):
            client.analyze(tmp_path / "none.jpg")
        with pytest.raises(SourceError, match="cannot be read"):
            client.submit_video(tmp_path / "none.mp4")


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (401, "unauthorized", UnauthorizedError),
        (403, "cross-origin", UnauthorizedError),
        (404, "not-found", NotFoundError),
        (410, "expired", NotFoundError),
        (413, "body-too-large", TooLargeError),
        (422, "invalid-request", InvalidRequestError),
        (429, "rate-limited", RateLimitedError),
        (503, "overloaded", OverloadedError),
        (500, "internal-error", ServiceError),
        (409, "job-failed", JobFailedError),
        (409, "not-done", ServiceError),
        (418, "new", ServiceError),
    ],
)
def test_problems_have_types(connect: Connect, status: int, kind: str, expected: type[ServiceError]) -> None:
    with connect(Script(problem(kind, status)), retries=0) as client, pytest.raises(MienError) as error:
        client.models()
    assert type(error.value) is expected


def waits_of(script: Script, **given: Any) -> list[float]:
    waits: list[float] = []
    options: dict[str, Any] = {"retries": 3, "max_wait": 20.0} | given
    with Client("http://s", transport=httpx.MockTransport(script), **options) as client:
        client._sleep = waits.append  # type: ignore[assignment]
        try:
            client.models()
        except MienError as error:
            waits.append(-error.status if isinstance(error, ServiceError) else -1)
    return waits


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    busy = [problem("overloaded", 503, {"retry-after": "7"}), problem("rate-limited", 429)]
    first, second = waits_of(Script(*busy, httpx.Response(200, json={"models": []})))
    assert first == 7
    assert 0.7 < second < 1.3


def test_it_is_not_asked_for_ever_nor_too_late() -> None:
    busy = [problem("overloaded", 503) for _ in range(4)]
    assert waits_of(Script(*busy))[-1] == -503
    assert len(waits_of(Script(*[problem("overloaded", 503) for _ in range(4)]))) == 4
    assert waits_of(Script(problem("rate-limited", 429, {"retry-after": "21"}))) == [-429]
    assert waits_of(
        Script(problem("overloaded", 503, {"retry-after": "soon"}), httpx.Response(200, json={"models": []}))
    )


def test_other_problems_are_not_tried_again() -> None:
    assert waits_of(Script(problem("not-found", 404))) == [-404]


def test_a_lost_connection_is_tried_again_where_that_changes_nothing(connect: Connect) -> None:
    lost = httpx.ConnectError("refused")
    assert len(waits_of(Script(lost, httpx.Response(200, json={"models": []})))) == 1
    script = Script(httpx.ReadTimeout("slow"), httpx.Response(202, json=job("queued")))
    with connect(script) as client, pytest.raises(ConnectionFailedError, match="slow"):
        client.submit_video(b"video")
    assert len(script.asked) == 1


def test_something_else_that_answers(connect: Connect) -> None:
    page = httpx.Response(404, headers={"content-type": "text/html"}, content="<html>")
    with connect(Script(page)) as client, pytest.raises(ConnectionFailedError, match="is the address right"):
        client.models()


def test_a_video_is_sent_whole_at_each_try(connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"all of the video")
    script = Script(problem("too-many-jobs", 503), httpx.Response(202, json=job("queued", ahead=1)))
    with connect(script) as client:
        made = client.submit_video(path, every=2, track=False)
    assert made.status.ahead == 1
    assert [b"all of the video" in request.content for request in script.asked] == [True, True]
    assert script.asked[1].url.params["track"] == "false"


def test_waiting_for_a_job(connect: Connect) -> None:
    states = [job("queued"), job("running"), job("done", progress=1.0)]
    script = Script(httpx.Response(202, json=states[0]), *[httpx.Response(200, json=state) for state in states])
    reported: list[str] = []
    with connect(script) as client:
        made = client.submit_video(b"video")
        assert made.wait(lambda status: reported.append(status.state)) is made
    assert reported == ["queued", "running", "done"]
    assert "done" in repr(made)


@pytest.mark.parametrize(
    "end", [job("failed", error=json.loads(problem("not-a-video", 422).content)), job("cancelled"), job("expired")]
)
def test_jobs_that_end_otherwise(connect: Connect, end: dict[str, Any]) -> None:
    script = Script(*[httpx.Response(200, json=end)] * 2)
    with connect(script) as client, pytest.raises(JobFailedError):
        client.job("1" * 32).wait()


def test_a_job_that_takes_too_long(connect: Connect) -> None:
    script = Script(*[httpx.Response(200, json=job("running")) for _ in range(2)])
    with connect(script) as client, pytest.raises(WaitedTooLongError, match="it keeps going"):
        client.job("1" * 32).wait(timeout_s=0)


def test_results_and_an_end(connect: Connect) -> None:
    episode = {
        "track_id": 1, "start_s": 0, "end_s": 1, "label": "sad", "mean_confidence": 0.5, "frames": 9, "duration_s": 1
    }  # fmt: skip
    outcome = {
        "source": "video.mp4", "labels": ["sad"], "rows": [{"frame": 0}], "episodes": [episode], "summary": {},
        "model": "m", "detector": "d", "notice": "breaks off",
    }  # fmt: skip
    short = {name: value for name, value in outcome.items() if name != "rows"}
    answers = [job("done"), outcome, short, outcome]
    script = Script(*[httpx.Response(200, json=entry) for entry in answers], httpx.Response(200, text="a,b\n"),
                    httpx.Response(200, json=job("cancelled")), httpx.Response(204))  # fmt: skip
    with connect(script) as client:
        made = client.job("1" * 32)
        assert made.rows() == [{"frame": 0}]
        assert made.episodes()[0].label == "sad"
        assert made.result().notice == "breaks off"
        assert made.csv() == "a,b\n"
        made.cancel()
        assert made.status.state == "cancelled"
        made.cancel()
    assert [request.method for request in script.asked[-2:]] == ["DELETE", "DELETE"]


def test_the_client_loads_no_arrays_and_no_model() -> None:
    code = (
        "import sys, mien.client; heavy = {'numpy', 'cv2', 'onnxruntime', 'av', 'httpx'} & set(sys.modules); "
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for kind in (Client, AsyncClient):
        with pytest.raises(MienError, match=r'pip install "mien\[client\]"'):
            kind()


def test_both_clients_have_the_same_methods() -> None:
    for one, other in ((Client, AsyncClient), (Job, AsyncJob)):
        names = {name for name, _ in inspect.getmembers(one) if not name.startswith("_")}
        assert names == {name for name, _ in inspect.getmembers(other) if not name.startswith("_")}
        for name in names - {"id"}:
            parameters = [list(inspect.signature(getattr(kind, name)).parameters) for kind in (one, other)]
            assert parameters[0] == parameters[1], name
    assert list(inspect.signature(Client).parameters) == list(inspect.signature(AsyncClient).parameters)


def test_a_task_that_is_cancelled_lets_go_of_its_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"video")
    opened: list[Any] = []
    monkeypatch.setattr(Path, "open", lambda *given: opened.append(open(*given)) or opened[-1])  # noqa: PTH123, SIM115

    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def work() -> None:
        async with AsyncClient(transport=httpx.MockTransport(never)) as client:
            await asyncio.wait_for(client.submit_video(path), 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(work())
    assert [file.closed for file in opened] == [True]
