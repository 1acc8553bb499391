"""The container, compose and Kubernetes files: what must hold in them, and that they fit the code."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from mien.apps.cli.main import COMMANDS, load_command
from mien.apps.service.app import create_app
from mien.apps.service.middleware import is_known_host
from mien.apps.service.settings import Settings

yaml = pytest.importorskip("yaml", reason="needs PyYAML")

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
PORT = Settings.model_fields["port"].default
STATE = "/var/lib/mien"


def instructions() -> list[tuple[str, str]]:
    """Instruction and argument of each line of the Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(place for place, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def arguments(name: str) -> list[str]:
    return [argument for instruction, argument in last_stage() if instruction == name]


def load(path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / path).read_text()))


def objects() -> dict[tuple[str, str], dict[str, Any]]:
    resources = load("kubernetes/kustomization.yaml")[0]["resources"]
    found = [entry for name in resources for entry in load(f"kubernetes/{name}")]
    return {(entry["kind"], entry["metadata"]["name"]): entry for entry in found}


SERVING = ("Deployment", "mien")
WORKLOADS = [SERVING, ("Deployment", "mien-workers")]


def pod_of(workload: tuple[str, str]) -> dict[str, Any]:
    pod: dict[str, Any] = objects()[workload]["spec"]["template"]["spec"]
    return pod


def paths() -> set[str]:
    return set(create_app(Settings(video_queue=0)).openapi()["paths"])


def test_the_image_brings_models_of_the_wheel_alone() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert "model pull" not in text
    assert "MIEN_SERVICE_DETECTOR" not in text


def test_the_image_runs_as_nobody_in_particular() -> None:
    assert arguments("USER") == ["10001:10001"]
    names = [name for name, _ in last_stage()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert not [argument for argument in arguments("COPY") if not argument.startswith("--from=build")]


def test_the_image_starts_the_service_without_a_shell() -> None:
    (entrypoint,) = arguments("ENTRYPOINT")
    assert yaml.safe_load(entrypoint) == ["mien", "serve", "--host", "0.0.0.0"]
    assert arguments("EXPOSE") == [str(PORT)]
    (check,) = arguments("HEALTHCHECK")
    command = yaml.safe_load(check.partition("CMD")[2])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    assert f"http://127.0.0.1:{PORT}/healthz" in command[2]
    assert "/healthz" in paths()


def test_the_image_is_pinned_and_labelled() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim-\w+$", text, flags=re.MULTILINE)
    assert {argument for name, argument in instructions() if name == "FROM"} == {
        "${PYTHON_IMAGE} AS build",
        "${PYTHON_IMAGE}",
    }
    labels = dict(part.split("=", 1) for part in shlex.split(arguments("LABEL")[0]))
    assert {f"org.opencontainers.image.{name}" for name in ("title", "licenses", "version", "revision")} <= set(labels)


def test_the_image_sets_settings_that_there_are() -> None:
    (variables,) = arguments("ENV")
    given = dict(part.split("=", 1) for part in shlex.split(variables))
    names = {name.removeprefix("MIEN_SERVICE_").lower() for name in given if name.startswith("MIEN_SERVICE_")}
    assert names <= set(Settings.model_fields)
    assert given["MIEN_SERVICE_STATE_DIR"] == STATE
    assert arguments("VOLUME") == [f'["{STATE}"]']


def test_only_what_is_built_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {part for name, argument in instructions() if name == "COPY" and "--from" not in argument
              for part in argument.split()[:-1]}  # fmt: skip
    assert copied == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_compose_locks_its_services_in() -> None:
    (compose,) = load("compose.yaml")
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        named = [volume.split(":")[0] for volume in service["volumes"] if not volume.startswith(".")]
        assert set(named) <= set(compose["volumes"])
        for volume in service["volumes"]:
            if volume.startswith("."):
                assert (DEPLOY / volume.split(":")[0]).is_file()
    mien = compose["services"]["mien"]
    assert mien["user"] == "10001:10001"
    assert mien["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert mien["volumes"] == compose["services"]["worker"]["volumes"] == [f"jobs:{STATE}"]
    assert compose["services"]["worker"]["entrypoint"] == ["mien", "worker"]
    assert mien["environment"]["MIEN_SERVICE_JOBS"] == compose["services"]["worker"]["environment"]["MIEN_SERVICE_JOBS"]
    assert (DEPLOY / mien["build"]["context"] / mien["build"]["dockerfile"]).is_file()


def test_prometheus_asks_where_figures_are() -> None:
    (config,) = load("prometheus/prometheus.yaml")
    (scrape,) = config["scrape_configs"]
    assert scrape["static_configs"][0]["targets"] == [f"mien:{PORT}"]
    assert scrape["metrics_path"] in paths()
    (alerts,) = load("prometheus/alerts.yaml")
    figures = create_app(Settings(video_queue=0)).state.service.metrics.text().decode()
    for rule in alerts["groups"][0]["rules"]:
        for name in re.findall(r"mien_\w+", rule["expr"]):
            assert f"# TYPE {name.removesuffix('_total')}" in figures, name


@pytest.mark.parametrize("workload", WORKLOADS)
def test_pods_are_locked_in(workload: tuple[str, str]) -> None:
    pod = pod_of(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]
    assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {"/tmp", STATE}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts.values()) == volumes.keys()
    # Whoever accepts a video and whoever reads it see the same files and the same table.
    claim = volumes[mounts[STATE]]["persistentVolumeClaim"]["claimName"]
    assert objects()[("PersistentVolumeClaim", claim)]["spec"]["accessModes"] == ["ReadWriteMany"]
    (jobs,) = [entry for entry in container["env"] if entry["name"] == "MIEN_SERVICE_JOBS"]
    assert jobs["valueFrom"]["secretKeyRef"] == {"name": "mien-jobs", "key": "url"}


def test_probes_ask_what_there_is() -> None:
    (container,) = pod_of(SERVING)["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == PORT
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in paths()
        assert asked["port"] == port["name"]
    for variable in container["env"]:
        assert variable["name"].removeprefix("MIEN_SERVICE_").lower() in Settings.model_fields


def test_the_names_that_lead_to_the_service_are_known() -> None:
    (compose,) = load("compose.yaml")
    (scrape,) = load("prometheus/prometheus.yaml")[0]["scrape_configs"]
    given = json.loads(compose["services"]["mien"]["environment"]["MIEN_SERVICE_ALLOWED_HOSTS"])
    assert is_known_host(scrape["static_configs"][0]["targets"][0], Settings(allowed_hosts=given))
    settings = Settings(allowed_hosts=json.loads(variables_of(SERVING)["MIEN_SERVICE_ALLOWED_HOSTS"]))
    for name in ("mien", "mien.mien.svc.cluster.local", f"10.244.0.7:{PORT}"):
        assert is_known_host(name, settings)
    assert not is_known_host("evil.example", settings)


def variables_of(workload: tuple[str, str]) -> dict[str, str]:
    (container,) = pod_of(workload)["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def test_pods_have_the_time_to_end_in_order() -> None:
    needed_s = float(variables_of(SERVING)["MIEN_SERVICE_DRAIN_S"]) + Settings.model_fields["grace_s"].default
    assert pod_of(SERVING)["terminationGracePeriodSeconds"] > needed_s


def test_kubernetes_objects_point_at_one_another() -> None:
    found = objects()
    for kind, name in WORKLOADS:
        spec = found[(kind, name)]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
    labels = found[SERVING]["spec"]["template"]["metadata"]["labels"]
    assert found[("Service", "mien")]["spec"]["selector"].items() <= labels.items()
    scaler = found[("HorizontalPodAutoscaler", "mien")]["spec"]
    assert ("Deployment", scaler["scaleTargetRef"]["name"]) in found
    budget = found[("PodDisruptionBudget", "mien")]["spec"]
    assert budget["minAvailable"] < scaler["minReplicas"]


def test_pods_reach_their_database_and_names_alone() -> None:
    found = objects()
    database, names = found[("NetworkPolicy", "mien")]["spec"]["egress"]
    (target,) = database["to"]
    labels = found[("StatefulSet", "postgres")]["spec"]["template"]["metadata"]["labels"]
    assert target["podSelector"]["matchLabels"].items() <= labels.items()
    assert database["ports"] == [{"protocol": "TCP", "port": 5432}]
    assert {port["port"] for port in names["ports"]} == {53}


def test_those_who_answer_leave_videos_to_the_workers() -> None:
    assert variables_of(SERVING)["MIEN_SERVICE_VIDEO_WORKERS"] == "0"
    (container,) = pod_of(("Deployment", "mien-workers"))["containers"]
    assert container["command"] == ["mien", "worker"]
    assert {"serve", "worker"} <= COMMANDS.keys()


def test_the_cluster_runs_a_command_that_there_is() -> None:
    (job,) = load("kubernetes/batch.yaml")
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[0] == "mien"
    load_command(words[1]).make_context(words[1], words[2:])
    cluster = job["spec"]["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert cluster["rayVersion"] in (DEPLOY / "Dockerfile.ray").read_text()
