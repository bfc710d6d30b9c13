import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from deployment.cluster import parse_tf_config
from deployment.slurm.tf_config import SlurmError, expand_hosts, tf_config

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def no_slurm_tools(tmp_path, monkeypatch):
    """The parser is ours unless a test brings an scontrol."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def _task(rank, local_id, nodes="n[1-2]", per_node="2(x2)", **variables):
    """The environment of one of four tasks on two nodes."""
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NODELIST": nodes,
        "SLURM_TASKS_PER_NODE": per_node,
        "SLURM_NTASKS": "4",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(local_id),
        **variables,
    }


def _program(folder, name, code):
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(code))
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("node_list", "hosts"),
    [
        ("login", ["login"]),
        ("a,b", ["a", "b"]),
        ("n[1-3]", ["n1", "n2", "n3"]),
        ("n[08-10,3]", ["n08", "n09", "n10", "n3"]),
        ("gpu-a[1-2],cpu[7],x", ["gpu-a1", "gpu-a2", "cpu7", "x"]),
        ("r[1-2]n[3-4].site", ["r1n3.site", "r1n4.site", "r2n3.site", "r2n4.site"]),
    ],
)
def test_node_lists_are_expanded(node_list, hosts):
    assert expand_hosts(node_list) == hosts


@pytest.mark.parametrize("node_list", ["n[1-2", "n1-2]", "n[a-b]", "n[]", "a,,b", "n[1,]"])
def test_a_malformed_node_list_is_refused(node_list):
    with pytest.raises(SlurmError, match="node list"):
        expand_hosts(node_list)


def test_the_last_tasks_are_parameter_servers_and_ports_count_up_on_each_node():
    config = json.loads(tf_config(_task(1, 1), num_ps=1, base_port=3000))
    assert config == {
        "cluster": {"worker": ["n1:3000", "n1:3001", "n2:3000"], "ps": ["n2:3001"]},
        "task": {"type": "worker", "index": 1},
    }


@pytest.mark.parametrize(
    ("rank", "local_id", "name", "role"),
    [(0, 0, "worker 0", "chief"), (1, 1, "worker 1", "worker"), (2, 0, "ps 0", "ps"), (3, 1, "ps 1", "ps")],
)
def test_every_task_finds_itself_in_the_cluster(rank, local_id, name, role):
    config = parse_tf_config(tf_config(_task(rank, local_id), num_ps=2))
    assert (config.own.name, config.role) == (name, role)
    assert (config.num_ps_tasks, config.num_replicas) == (2, 2)


def test_without_parameter_servers_all_tasks_train():
    assert parse_tf_config(tf_config(_task(3, 1), num_ps=0)).strategy == "all_reduce"


def test_nodes_may_have_different_numbers_of_tasks():
    environment = _task(3, 0, nodes="n[1-2]", per_node="3,1")
    assert json.loads(tf_config(environment, 0, 3000))["cluster"]["worker"] == [
        "n1:3000", "n1:3001", "n1:3002", "n2:3000"
    ]  # fmt: skip


def test_a_step_on_some_of_the_nodes_counts_its_own():
    environment = _task(3, 3, nodes="n[1-9]", per_node="1(x9)", SLURM_STEP_NODELIST="n5", SLURM_STEP_TASKS_PER_NODE="4")
    assert json.loads(tf_config(environment, 0, 3000))["cluster"]["worker"][3] == "n5:3003"


def test_jobs_have_ports_of_their_own():
    first, second = (
        json.loads(tf_config(_task(0, 0, SLURM_JOB_ID=job), 0))["cluster"]["worker"][:2] for job in ("10", "11")
    )
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SLURM_PROCID": ""}, "SLURM_PROCID is not set: this must be run by srun"),
        ({"SLURM_JOB_NODELIST": ""}, "SLURM_STEP_NODELIST is not set"),
        ({"SLURM_NTASKS": "five"}, "SLURM_NTASKS=five is no number"),
        ({"SLURM_NTASKS": "5"}, "5 tasks, 2(x2) per node, do not fit the nodes n1,n2"),
        ({"SLURM_TASKS_PER_NODE": "2x2"}, "'2x2', is malformed"),
        ({"SLURM_PROCID": "2", "SLURM_LOCALID": "1"}, "give srun --distribution=block"),
    ],
)
def test_variables_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(SlurmError) as error:
        tf_config({**_task(0, 0), **changes}, num_ps=1)
    assert words in str(error.value)


def test_parameter_servers_only_are_refused():
    with pytest.raises(SlurmError, match="--num_ps=4 leaves none of 4 tasks to train"):
        tf_config(_task(0, 0), num_ps=4)


def test_slurm_itself_expands_node_lists_where_it_can(tmp_path):
    _program(tmp_path, "scontrol", "import sys; assert sys.argv[1:] == ['show', 'hostnames', 'odd']; print('x\\ny')")
    assert json.loads(tf_config(_task(0, 0, nodes="odd"), 0, 3000))["cluster"]["worker"][0] == "x:3000"


def test_a_node_list_that_slurm_refuses_is_an_error(tmp_path):
    _program(tmp_path, "scontrol", "import sys; sys.exit('Invalid hostlist: odd')")
    with pytest.raises(SlurmError, match="scontrol show hostnames odd failed: Invalid hostlist: odd"):
        tf_config(_task(0, 0, nodes="odd"), 0)


FAKE_SRUN = """
    import os, subprocess, sys
    words = sys.argv[1:]
    while words[0].startswith("--"):
        words.pop(0)
    for rank in range(4):
        ids = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank % 2)}
        subprocess.run(words, env={**os.environ, **ids}, check=True)
"""
FAKE_TRAINING = """
    import os, sys
    print(os.environ["TF_CONFIG"])
    print(os.environ["TF_NUM_INTRAOP_THREADS"], sys.argv[1:], sep="")
"""


def test_the_batch_script_runs_the_training_as_every_task(tmp_path):
    _program(tmp_path, "srun", FAKE_SRUN)
    _program(tmp_path, "train_image_classifier", FAKE_TRAINING)
    (tmp_path / "bin/python").symlink_to(sys.executable)
    environment = {**os.environ, **_task(0, 0), "SLURM_CPUS_PER_TASK": "6", "NUM_PS": "2", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        ["bash", ROOT / "deployment/slurm/train.sbatch", "--dataset_dir=a b", "--train_dir=t"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [parse_tf_config(line).own.name for line in lines[::2]] == ["worker 0", "worker 1", "ps 0", "ps 1"]
    assert set(lines[1::2]) == {"6['--dataset_dir=a b', '--train_dir=t']"}


@pytest.mark.parametrize(("rank", "ignores"), [(0, "False"), (3, "True")])
def test_parameter_servers_outlast_the_signal_at_the_end_of_the_time(rank, ignores):
    result = subprocess.run(
        [sys.executable, "-m", "deployment.slurm.tf_config", "--num_ps=1", "--", sys.executable, "-c",
         "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_IGN)"],
        cwd=ROOT, env={**os.environ, **_task(rank, rank % 2)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.stdout == f"{ignores}\n", result.stderr


def test_outside_slurm_the_error_is_clear():
    result = subprocess.run(
        [sys.executable, "-m", "deployment.slurm.tf_config", "--", "true"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert "SLURM_STEP_NODELIST is not set: this must be run by srun, in a Slurm job." in result.stderr
