"""The Helm values and the GPU pod, checked with the Kubernetes client's own models instead of Helm."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from pydantic import TypeAdapter, ValidationError

from pneumo_airflow import stages

HELM = Path(__file__).resolve().parents[2] / "docker" / "helm"


@pytest.fixture(scope="module")
def pod() -> client.V1Pod:
    return client.V1Pod.model_validate(yaml.safe_load((HELM / "gpu-worker.yaml").read_text()))


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return yaml.safe_load((HELM / "values.yaml").read_text())


def test_the_gpu_pod_is_one_that_airflow_can_use(pod: client.V1Pod) -> None:
    (container,) = pod.spec.containers
    assert container.name == "base"
    assert container.command is None
    assert pod.spec.restart_policy == "Never"
    assert container.resources.limits["nvidia.com/gpu"] == container.resources.requests["nvidia.com/gpu"]


def test_the_gpu_pod_runs_as_nobody_in_particular_and_writes_to_volumes_alone(pod: client.V1Pod) -> None:
    (container,) = pod.spec.containers
    assert pod.spec.security_context.run_as_non_root is True
    assert container.security_context.read_only_root_filesystem is True
    assert container.security_context.capabilities.drop == ["ALL"]
    assert {mount.name for mount in container.volume_mounts} == {volume.name for volume in pod.spec.volumes}


def test_a_misspelt_key_of_the_pod_is_found() -> None:
    document = yaml.safe_load((HELM / "gpu-worker.yaml").read_text())
    document["spec"]["containers"][0]["resource"] = {}
    with pytest.raises(ValidationError, match=r"containers\.0\.resource"):
        client.V1Pod.model_validate(document)


def test_the_parts_of_the_values_that_are_pod_spec_are_valid(values: dict[str, Any]) -> None:
    TypeAdapter(list[client.V1Volume]).validate_python(values["volumes"])
    TypeAdapter(list[client.V1VolumeMount]).validate_python(values["volumeMounts"])
    TypeAdapter(list[client.V1EnvVar]).validate_python(values["env"])
    TypeAdapter(list[client.V1EnvFromSource]).validate_python(yaml.safe_load(values["extraEnvFrom"]))
    client.V1PodSecurityContext.model_validate(values["securityContexts"]["pod"])
    client.V1SecurityContext.model_validate(values["securityContexts"]["containers"])
    for component in ("workers", "scheduler", "apiServer", "dagProcessor", "triggerer"):
        client.V1ResourceRequirements.model_validate(values[component]["resources"])


def test_no_value_is_a_secret(values: dict[str, Any]) -> None:
    assert not {"fernetKey", "apiSecretKey", "jwtSecret", "webserverSecretKey"} & set(values)
    assert "connection" not in values["data"]


def test_gpu_tasks_take_the_pod_template_that_the_values_name(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (variable,) = values["env"]
    monkeypatch.setenv(variable["name"], variable["value"])
    placement = stages.gpu_placement()
    assert placement["queue"] == "gpu"
    assert placement["executor_config"] == {"pod_template_file": variable["value"]}
    (mount,) = values["volumeMounts"]
    assert Path(variable["value"]).parent == Path(mount["mountPath"])
