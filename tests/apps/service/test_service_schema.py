"""The OpenAPI description: whole, true to the answers, and no request that fits or breaks it makes the service fail."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from service_runs import InProcess, make_image, running

from mien.apps.service.analyze import Analysis
from mien.apps.service.app import create_app
from mien.apps.service.problems import KINDS, TYPE_PREFIX
from mien.apps.service.settings import Settings
from mien.images.pictures import encode

SCHEMA = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
UNSENT = ("allow_redirects", "cookies")
PICTURES = SCHEMA.include(path_regex="^/(v1/analyze|v1/models|healthz|readyz|metrics)")


@pytest.fixture(scope="module")
def service(toy_artifact: Path) -> Iterator[InProcess]:
    with running(toy_artifact, max_body_mb=1, max_pixels=1_000_000) as service:
        yield service


@PICTURES.parametrize()
@settings(
    max_examples=10, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_no_request_makes_the_service_fail(case: schemathesis.Case, service: InProcess) -> None:
    given = case.as_transport_kwargs(base_url="http://localhost")
    given = {name: value for name, value in given.items() if value is not None and name not in UNSENT}
    content = given.pop("data", None)
    if isinstance(content, bytes | str):
        given["content"] = content
    response = service.request(given.pop("method"), given.pop("url"), **given)
    assert response.status_code < 500
    if response.status_code >= 400:
        document = response.json()
        assert response.headers["content-type"] == "application/problem+json"
        assert document["type"].removeprefix(TYPE_PREFIX) in KINDS
        assert document["status"] == response.status_code


def test_the_examples_fit_their_schemas(service: InProcess) -> None:
    schemas = service.get("/openapi.json").json()["components"]["schemas"]
    for example in schemas["Analysis"]["examples"]:
        Analysis.model_validate(example)
    answer = service.send(make_image())
    Analysis.model_validate(answer.json())
    assert set(answer.json()) == set(schemas["Analysis"]["examples"][0])


def test_every_route_is_described(service: InProcess) -> None:
    schema = service.get("/openapi.json").json()
    known = {tag["name"] for tag in schema["tags"]}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            assert set(operation["tags"]) <= known
    responses = schema["paths"]["/v1/analyze"]["post"]["responses"]
    assert set(responses) == {"200", *map(str, (400, 401, 403, 408, 413, 415, 422, 429, 503, 504))}


def test_the_documentation_needs_no_other_machine(service: InProcess) -> None:
    home = service.get("/")
    assert all(f'href="/{path}"' in home.text for path in ("live", "docs", "openapi.json"))
    page = service.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert re.findall(r'src="([^"]*)"', page.text) == ["/docs/try.js"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    script = service.get("/docs/try.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "http" not in script.text
    for text in ("/v1/analyze", "min_confidence", "urn:mien:problem:damaged-image"):
        assert text in page.text


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Flip bits, cut off, or write over some bytes, mostly of the header."""
    bytes_ = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(min(len(bytes_), dice.choice([64, 64, len(bytes_)])))
        match dice.randrange(4):
            case 0:
                bytes_[at] ^= 1 << dice.randrange(8)
            case 1:
                bytes_[at : at + 4] = dice.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\1\0\0\0"])
            case 2:
                del bytes_[max(at, 1) :]
            case 3:
                bytes_[at:at] = dice.randbytes(dice.randint(1, 16))
    return bytes(bytes_)


@pytest.mark.parametrize("image_format", ["jpeg", "png", "webp", "bmp", "tiff"])
def test_mutated_images_are_read_or_refused(service: InProcess, image_format: str) -> None:
    dice = random.Random(image_format)
    rows = np.linspace(0, 255, 40 * 48 * 3).reshape(40, 48, 3).astype(np.uint8)
    whole = encode(rows, image_format)
    statuses: dict[int, int] = {}
    for _ in range(40):
        response = service.send(mutate(whole, dice))
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
        kind: Any = json.loads(response.text).get("type", "")
        assert response.status_code in (200, 413, 422), kind
    assert statuses.get(422, 0) > 0


def test_the_guide_names_every_setting_and_problem() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "service.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert f"| `{name}` |" in guide
        assert str(field.description) in guide, name
    for kind, (status, _) in KINDS.items():
        assert f"| `{kind}` | {status} |" in guide


def test_the_description_names_the_ways_to_send_a_key(service: InProcess) -> None:
    schema = service.get("/openapi.json").json()
    schemes = schema["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["header"]["name"] == "X-API-Key"
    assert {"bearer": []} in schema["paths"]["/v1/analyze"]["post"]["security"]
