import dataclasses

import pytest
import yaml

from deployment.cluster import parse_tf_config
from deployment.kubernetes import jobs, tfjob

MODELS = {"NetworkPolicy": "V1NetworkPolicy", "Service": "V1Service", "Job": "V1Job"}


@pytest.fixture
def manifests(training_job):
    """``manifests(num_ps=0)``: the NetworkPolicy, the Service and the Jobs."""
    return lambda **changes: list(yaml.safe_load_all(jobs.render(dataclasses.replace(training_job, **changes))))


@pytest.fixture
def roles(manifests):
    """``roles(num_ps=0)``: the Jobs by name."""
    return lambda **changes: {manifest["metadata"]["name"]: manifest for manifest in manifests(**changes)[2:]}


def test_every_role_is_an_indexed_job_with_a_pod_for_each_task(roles):
    specs = {name: job["spec"] for name, job in roles().items()}
    assert {name: (spec["completions"], spec["parallelism"]) for name, spec in specs.items()} == {
        "fer-chief": (1, 1), "fer-ps": (2, 2), "fer-worker": (3, 3), "fer-evaluator": (1, 1)
    }  # fmt: skip
    assert {spec["completionMode"] for spec in specs.values()} == {"Indexed"}


def test_roles_without_tasks_are_left_out(roles):
    assert set(roles(num_ps=0, num_evaluators=0, num_chiefs=0)) == {"fer-worker"}


def test_every_pod_finds_itself_and_the_host_names_of_all(roles, pod_environment):
    found = {}
    for name, job in roles().items():
        for index in range(job["spec"]["completions"]):
            config = parse_tf_config(pod_environment(job, index)["TF_CONFIG"])
            # The name that the pod has: its Job's and its index, in the subdomain of the Service.
            found[config.own.name] = f"{name}-{index}.fer:2222" == config.own.address
            assert len(config.tasks) == 7
    assert found == dict.fromkeys(["chief", "worker 0", "worker 1", "worker 2", "ps 0", "ps 1", "evaluator"], True)


def test_the_service_puts_the_names_of_all_pods_into_dns_before_they_are_ready(manifests):
    service, *made = manifests()[1:]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    for job in made:
        assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
        assert service["spec"]["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_threads_are_those_that_the_container_may_use(roles, pod_environment):
    environment = pod_environment(roles()["fer-ps"], 0)
    assert {environment[name] for name in environment if "THREADS" in name} == {"3"}


def test_failed_tasks_are_restarted_but_not_after_bad_usage(roles):
    for job in roles().values():
        assert job["spec"]["backoffLimit"] == 7
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        bad_usage, lost_node = job["spec"]["podFailurePolicy"]["rules"]
        assert (bad_usage["action"], bad_usage["onExitCodes"]["values"]) == ("FailJob", [2])
        assert (lost_node["action"], lost_node["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")


@pytest.mark.parametrize("role", ["Chief", "PS", "Worker", "Evaluator"])
def test_pods_are_those_of_a_tfjob(training_job, roles, role):
    [policy, operated] = yaml.safe_load_all(tfjob.render(training_job))
    expected = operated["spec"]["tfReplicaSpecs"][role]["template"]["spec"]
    pod = roles()[f"fer-{role.lower()}"]["spec"]["template"]["spec"]
    [container], [expected_container] = pod.pop("containers"), expected.pop("containers")
    assert {key: pod[key] for key in expected} == expected
    own = ("ports", "env")
    assert {key: container[key] for key in container if key not in own} == {
        key: value for key, value in expected_container.items() if key not in own
    }
    assert policy == next(yaml.safe_load_all(jobs.render(training_job)))


@pytest.mark.parametrize("shape", [{}, {"num_ps": 0, "num_evaluators": 0, "gpus_per_worker": 0, "namespace": None}])
def test_the_schemas_of_kubernetes_know_every_field(manifests, read_as, shape):
    client = pytest.importorskip("kubernetes.client").ApiClient()
    for manifest in manifests(**shape):
        assert read_as(client, MODELS[manifest["kind"]], manifest) == manifest
