"""compose.yaml and deploy/ name variables, settings, paths, ports and metrics there are.

No container engine is needed: what can be said of the files alone.
"""

from __future__ import annotations

import base64
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

import pytest
import yaml

from architecture.pages import ROOT, column, page, section, table
from conversion_relay.service import serving
from conversion_relay.service.configuration import load
from conversion_relay.service.environment import CONFIG_VARIABLE, VARIABLES
from conversion_relay.service.metrics.catalogue import GAUGES
from conversion_relay.service.settings import ServiceSettings

KUBERNETES = ROOT / "deploy" / "kubernetes"
HAPROXY = page("deploy/haproxy/haproxy.cfg")
DOCKERFILE = page("Dockerfile")
PAGE = page("docs/deploying.md")
_BESIDE_THE_RESOURCES: Final = {"kustomization.yaml", "prometheus-adapter.yaml"}
_FOREIGN: Final = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}
_SECRETS: Final = "/run/secrets/conversion-relay"
Tree = Mapping[str, object]


def _read(path: Path) -> Tree:
    tree = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(tree, dict), path.name
    return tree


def _at(tree: object, path: str) -> object:
    """What stands at a path of names and numbers."""
    for step in path.split("/"):
        if isinstance(tree, list):
            tree = tree[int(step)]
        else:
            assert isinstance(tree, dict), step
            tree = tree[step]
    return tree


def _texts(tree: object, path: str) -> list[str]:
    found = _at(tree, path)
    assert isinstance(found, list)
    return [str(one) for one in found]


def _trees(tree: object, path: str) -> list[Tree]:
    found = _at(tree, path)
    assert isinstance(found, list)
    assert all(isinstance(one, dict) for one in found)
    return cast("list[Tree]", found)


def _number(tree: object, path: str) -> int:
    found = _at(tree, path)
    assert isinstance(found, int)
    return found


DEPLOYMENT = _read(KUBERNETES / "deployment.yaml")
POD = _at(DEPLOYMENT, "spec/template")
CONTAINER = _at(POD, "spec/containers/0")
COMPOSE = _read(ROOT / "compose.yaml")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def _longest_stop_seconds() -> int:
    (seconds,) = re.findall(r"Within (\d+) seconds of the first signal", str(serving.__doc__))
    return int(seconds)


def _compose_services() -> Iterator[tuple[str, Tree]]:
    services = _at(COMPOSE, "services")
    assert isinstance(services, dict)
    yield from services.items()


def _nodes_of_compose() -> dict[str, Tree]:
    """What runs `serve`."""
    ours = "conversion-relay"
    return {
        name: service
        for name, service in _compose_services()
        if service.get("image") == ours and "command" not in service
    }


def test_every_file_is_a_resource_or_named_as_something_else() -> None:
    resources = _texts(_read(KUBERNETES / "kustomization.yaml"), "resources")
    assert len(resources) == len(set(resources))
    there = {file.name for file in KUBERNETES.glob("*.yaml")}
    assert set(resources) == there - _BESIDE_THE_RESOURCES
    for file in KUBERNETES.iterdir():
        assert file.name in PAGE, file.name


def test_what_belongs_together_has_one_name() -> None:
    kustomization = _read(KUBERNETES / "kustomization.yaml")
    labels = _at(POD, "metadata/labels")
    assert _at(DEPLOYMENT, "spec/selector/matchLabels") == labels
    assert _at(_read(KUBERNETES / "service.yaml"), "spec/selector") == labels
    budget = _read(KUBERNETES / "disruption-budget.yaml")
    assert _at(budget, "spec/selector/matchLabels") == labels
    for spread in _trees(POD, "spec/topologySpreadConstraints"):
        assert _at(spread, "labelSelector/matchLabels") == labels
    scaled = _at(_read(KUBERNETES / "autoscaler.yaml"), "spec/scaleTargetRef/name")
    assert scaled == _at(DEPLOYMENT, "metadata/name")
    assert _at(kustomization, "images/0/name") == _at(CONTAINER, "image")
    volumes = {str(one["name"]): one for one in _trees(POD, "spec/volumes")}
    assert {str(one["name"]) for one in _trees(CONTAINER, "volumeMounts")} == set(volumes)
    generated = _at(kustomization, "configMapGenerator/0/name")
    assert _at(volumes["configuration"], "configMap/name") == generated


def test_probes_ask_paths_and_the_port_there_are() -> None:
    known = set(column(table(page("docs/operations.md"), "## HTTP paths")))
    port = ServiceSettings.model_fields["port"].default
    for name in PROBES:
        assert _at(CONTAINER, f"{name}/httpGet/path") in known, name
        assert _at(CONTAINER, f"{name}/httpGet/port") == _at(CONTAINER, "ports/0/name")
    assert _at(CONTAINER, "readinessProbe/httpGet/path") == "/readyz"
    assert _at(CONTAINER, "livenessProbe/httpGet/path") == "/healthz"
    assert _at(CONTAINER, "ports/0/containerPort") == port
    service = _read(KUBERNETES / "service.yaml")
    assert _at(service, "spec/ports/0/targetPort") == _at(CONTAINER, "ports/0/name")
    annotations = _at(POD, "metadata/annotations")
    assert isinstance(annotations, dict)
    assert annotations["prometheus.io/port"] == str(port)
    assert annotations["prometheus.io/path"] in known
    assert f"EXPOSE {port}" in DOCKERFILE


def test_a_pod_has_time_to_stop() -> None:
    command = _texts(CONTAINER, "lifecycle/preStop/exec/command")
    assert command[0] == "sleep"
    grace = _number(POD, "spec/terminationGracePeriodSeconds")
    assert grace > int(command[1]) + _longest_stop_seconds()
    readiness = _at(CONTAINER, "readinessProbe")
    unseen = _number(readiness, "periodSeconds") * _number(readiness, "failureThreshold")
    assert int(command[1]) > unseen


def test_every_node_of_compose_has_time_to_stop() -> None:
    assert set(_nodes_of_compose()) == {"relay", "node"}
    for name, service in _nodes_of_compose().items():
        grace = str(service["stop_grace_period"])
        assert int(grace.removesuffix("s")) > _longest_stop_seconds(), name


def test_a_start_may_take_as_long_as_bringing_the_tables_up_to_date() -> None:
    startup = _at(CONTAINER, "startupProbe")
    patience = _number(startup, "periodSeconds") * _number(startup, "failureThreshold")
    assert patience >= 600


def test_a_pod_may_do_nothing_it_does_not_need() -> None:
    (uid,) = re.findall(r"useradd .*--uid (\d+)", DOCKERFILE)
    pod = _at(POD, "spec/securityContext")
    assert _at(pod, "runAsNonRoot") is True
    assert _at(pod, "runAsUser") == int(uid)
    assert _at(pod, "seccompProfile/type") == "RuntimeDefault"
    context = _at(CONTAINER, "securityContext")
    assert _at(context, "readOnlyRootFilesystem") is True
    assert _at(context, "allowPrivilegeEscalation") is False
    assert _at(context, "capabilities/drop") == ["ALL"]
    assert _at(POD, "spec/automountServiceAccountToken") is False


def test_every_variable_is_one_of_the_service() -> None:
    known = {variable.name for variable in (*VARIABLES, CONFIG_VARIABLE)}
    assert {str(one["name"]) for one in _trees(CONTAINER, "env")} <= known
    for name, service in _compose_services():
        environment = service.get("environment", {})
        assert isinstance(environment, dict)
        assert set(environment) <= known | _FOREIGN, name
    asked = set(re.findall(r"\$\{(\w+)", page("compose.yaml")))
    assert asked <= known


def test_the_service_starts_with_its_file_and_every_secret_is_on_the_page(tmp_path: Path) -> None:
    text = (KUBERNETES / "relay.toml").read_text("utf-8")
    named = re.findall(rf'"file:{_SECRETS}/([^"]+)"', text)
    assert set(column(table(PAGE, "### Secrets"))) == set(named)
    mounted = {str(one["name"]): one["mountPath"] for one in _trees(CONTAINER, "volumeMounts")}
    assert mounted["secrets"] == _SECRETS
    for name in named:
        (tmp_path / name).write_text(_secret(name), "utf-8")
    file = tmp_path / "relay.toml"
    file.write_text(text.replace(_SECRETS, str(tmp_path)), "utf-8")
    given = {str(one["name"]): str(one.get("value", "")) for one in _trees(CONTAINER, "env")}
    assert Path(given["RELAY_CONFIG"]).parent == Path(str(mounted["configuration"]))
    image = dict(re.findall(r"(RELAY_\w+)=(\S+)", DOCKERFILE))
    configuration = load({**image, **given, "RELAY_NODE_NAME": "pod-1"}, file)
    assert configuration.service.database_url.startswith("postgresql://")
    assert configuration.service.host == "0.0.0.0"  # noqa: S104 - inside its container


def _secret(name: str) -> str:
    if name.endswith("-url"):
        return "https://hooks.example/services/x"
    return base64.b64encode(bytes(32)).decode()


def test_no_file_holds_a_secret() -> None:
    for file in KUBERNETES.iterdir():
        text = file.read_text("utf-8")
        assert "kind: Secret" not in text, file.name
        assert not re.search(r"postgres(ql)?://[^@\s]*:[^@\s]*@", text), file.name


def test_the_autoscaler_asks_for_a_metric_that_the_adapter_makes_of_ours() -> None:
    autoscaler = _read(KUBERNETES / "autoscaler.yaml")
    (rule,) = _trees(_read(KUBERNETES / "prometheus-adapter.yaml"), "rules/external")
    assert _at(autoscaler, "spec/metrics/0/external/metric/name") == _at(rule, "name/as")
    asked = re.findall(r"\b(relay_\w+)\{", str(rule["metricsQuery"]))
    assert set(asked) == {"relay_oldest_waiting_seconds", "relay_lane_condition"}
    assert {*asked, str(rule["seriesQuery"])} <= set(GAUGES)
    least, most = _number(autoscaler, "spec/minReplicas"), _number(autoscaler, "spec/maxReplicas")
    unavailable = _number(_read(KUBERNETES / "disruption-budget.yaml"), "spec/maxUnavailable")
    assert _at(DEPLOYMENT, "spec/replicas") == least
    assert unavailable < least < most


def test_the_front_of_compose_finds_the_nodes() -> None:
    port = ServiceSettings.model_fields["port"].default
    (node,) = re.findall(r"^ +server-template \S+ \d+ (\w+):(\d+)$", HAPROXY, re.MULTILINE)
    assert node == ("node", str(port))
    assert node[0] in _nodes_of_compose()
    assert "option httpchk GET /readyz" in HAPROXY
    (mount,) = _texts(COMPOSE, "services/front/volumes")
    assert (ROOT / mount.partition(":")[0]).read_text("utf-8") == HAPROXY
    assert f":{port}" in _texts(COMPOSE, "services/front/ports")[0]


@pytest.mark.parametrize("name", ["node", "front", "tiktok", "postgres"])
def test_the_cluster_is_started_on_demand_only(name: str) -> None:
    assert _texts(COMPOSE, f"services/{name}/profiles") == ["cluster"]


def test_the_page_names_figures_as_they_are() -> None:
    text = " ".join(section(PAGE, "## Kubernetes").split())
    command = _texts(CONTAINER, "lifecycle/preStop/exec/command")
    grace = _number(POD, "spec/terminationGracePeriodSeconds")
    assert f"for {command[1]} seconds" in text
    assert f"{grace} seconds" in text
    assert f"at most {_longest_stop_seconds()} seconds" in text
    assert inspect.getdoc(serving) is not None
