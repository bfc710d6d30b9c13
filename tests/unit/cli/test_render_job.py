import subprocess
import sys
from pathlib import Path

import yaml

from slim_train.cli import render_tfjob
from slim_train.cli.render_job import COMMAND

ROOT = Path(__file__).resolve().parents[3]
FLAGS = (
    "--image=slim",
    "--data_claim=datasets",
    "--train_claim=runs",
    "--dataset_dir=/data/fer",
    "--train_dir=/models/fer",
)


def _render(command, path, *flags):
    assert command.main([*FLAGS, f"--output={path}", *flags]) == 0
    return list(yaml.safe_load_all(path.read_text()))


def test_tasks_get_the_flags_that_those_of_a_tfjob_get(tmp_path):
    flags = ("--name=fer", "--gpus_per_worker=2", "--batch_size=64")
    tfjob = _render(render_tfjob.COMMAND, tmp_path / "tfjob.yaml", *flags)[-1]
    worker = _render(COMMAND, tmp_path / "jobs.yaml", *flags)[-1]
    assert worker["metadata"]["name"] == "fer-worker"
    [expected] = tfjob["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    [container] = worker["spec"]["template"]["spec"]["containers"]
    assert "--num_clones=2" in container["args"]
    assert (container["command"], container["args"]) == (expected["command"], expected["args"])


def test_bad_usage_is_one_line_that_names_the_command(capsys):
    assert COMMAND.main([*FLAGS, "--train_dir=models/fer"]) == 2
    assert capsys.readouterr().err.startswith("render_job: error: --train_dir=models/fer is on no volume of the job")


def test_the_script_writes_the_manifests_to_the_screen():
    script = ROOT / "scripts/render_job.py"
    result = subprocess.run([sys.executable, script, *FLAGS], capture_output=True, text=True, check=True)
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(result.stdout)]
    assert kinds == ["NetworkPolicy", "Service", "Job", "Job", "Job"]
