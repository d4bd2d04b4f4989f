"""The files in deploy/ name options and figures that exist."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from served import Server

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_dashboard_shows_figures_that_the_server_has(server: Server) -> None:
    with server.client() as client:
        body = {"input": "ሰላም።", "response_format": "pcm"}
        assert client.post("/v1/audio/speech", json=body).status_code == 200
        assert client.post("/v1/audio/speech", json={}).status_code == 400
        page = client.get("/metrics").text
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) > 10
    for name in {name for query in queries for name in re.findall(r"\b(?:amtts|process)_\w+", query)}:
        assert re.search(rf"^{name}(\{{| )", page, re.MULTILINE), name


def test_the_image_gets_all_that_a_wheel_is_made_of() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], *project["project"]["license-files"], "README.md"}
    lines = re.findall(r"^COPY (?!--)(.*) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    assert all((DEPLOY.parent / source).exists() for source in copied)
    missing = {path for path in needed if not {path, *map(str, Path(path).parents)} & copied}
    assert not missing


def test_commands_name_options_that_exist() -> None:
    from amtts_cli.commands.serve import serve

    known = set(re.findall(r'"(--[a-z-]+)"', Path(serve.__code__.co_filename).read_text()))
    unit = re.search(r"^ExecStart=(.*)$", (DEPLOY / "amtts.service").read_text(), re.MULTILINE)
    docker = (DEPLOY / "Dockerfile").read_text()
    assert unit is not None
    used = [*shlex.split(unit[1]), *re.findall(r'"(--[a-z-]+)"', docker.split("ENTRYPOINT")[1])]
    options = {word for word in used if word.startswith("--")}
    assert {"--voice", "--host", "--keys"} <= options <= known


@pytest.mark.parametrize(
    "name", ["docker-compose.yml", "prometheus/prometheus.yml", "grafana/datasource.yml"]
)
def test_files_can_be_read_and_name_files_that_exist(name: str) -> None:
    path = DEPLOY / name
    content = yaml.safe_load(path.read_text())
    for service in content.get("services", {}).values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source == "../run" or (path.parent / source).is_file()
        if "build" in service:
            assert (path.parent / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_the_config_file_for_ray_serve_names_what_exists() -> None:
    from amtts_cli.server.replicas import build
    from amtts_cli.server.settings import ServerSettings

    content = yaml.safe_load((DEPLOY / "ray-serve.yaml").read_text())
    (application,) = content["applications"]
    assert application["import_path"] == f"{build.__module__}:{build.__name__}"
    assert set(application["args"]) - {"keys", "replicas"} <= set(ServerSettings.model_fields)
