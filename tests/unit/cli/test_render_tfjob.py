import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from slim_train.cli import train_image_classifier
from slim_train.cli.render_tfjob import COMMAND
from slim_train.training_options import TrainOptions

ROOT = Path(__file__).resolve().parents[3]
JOB = ("--image=slim", "--data_claim=datasets", "--train_claim=runs")
FOLDERS = ("--dataset_dir=/data/fer", "--train_dir=/models/fer")


def _render(tmp_path, *flags):
    """The TFJob's roles."""
    path = tmp_path / "job.yaml"
    assert COMMAND.main([*JOB, *FOLDERS, f"--output={path}", *flags]) == 0
    [_, job] = yaml.safe_load_all(path.read_text())
    return job["spec"]["tfReplicaSpecs"]


def _args(roles, role="Worker"):
    return roles[role]["template"]["spec"]["containers"][0]["args"]


def _parsed(argv):
    """The options that the training command makes of a command line."""
    seen = []
    command = train_image_classifier.COMMAND
    assert type(command)(command.name, "", TrainOptions(), seen.append, uses_tensorflow=False).main(argv) == 0
    return seen[0]


def test_a_recipe_becomes_the_command_line_of_the_tasks(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model_name: mobilenet_v2\nlearning_rate: 1e-4\nclone_on_cpu: true\nnum_epochs: 2\n")
    args = _args(_render(tmp_path, f"--config={recipe}", "--batch_size=64"))
    assert _parsed(args) == _parsed([f"--config={recipe}", "--batch_size=64", *FOLDERS])


def test_the_flags_of_the_job_shape_it(tmp_path):
    roles = _render(tmp_path, "--num_ps=0", "--num_workers=5", "--nochief", "--evaluator")
    assert {role: spec["replicas"] for role, spec in roles.items()} == {"Worker": 5, "Evaluator": 1}


def test_a_clone_runs_on_each_gpu(tmp_path):
    assert "--num_clones=4" in _args(_render(tmp_path, "--gpus_per_worker=4"))
    assert "--num_clones=2" in _args(_render(tmp_path, "--gpus_per_worker=4", "--num_clones=2"))


def test_folders_at_urls_take_no_volumes_and_accounts_and_secrets_are_named(tmp_path):
    path = tmp_path / "job.yaml"
    folders = ["--dataset_dir=gs://bucket/fer", "--train_dir=gs://bucket/run", f"--output={path}", "--image=slim"]
    assert COMMAND.main([*folders, "--service_account=trainer", "--credentials_secret=google"]) == 0
    [_, job] = yaml.safe_load_all(path.read_text())
    pod = job["spec"]["tfReplicaSpecs"]["PS"]["template"]["spec"]
    assert pod["serviceAccountName"] == "trainer"
    assert pod["volumes"] == [
        {"name": "credentials", "secret": {"secretName": "google"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    [container] = pod["containers"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["credentials", "tmp"]
    assert {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/credentials/key.json"} in container["env"]
    assert "--train_dir=gs://bucket/run" in container["args"]


def test_a_job_without_credentials_names_none(tmp_path):
    assert "redentials" not in str(_render(tmp_path))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data_claim="], "--data_claim is required: it names the volume that holds --dataset_dir=/data/fer."),
        (["--train_claim="], "--train_claim is required"),
        (["--train_dir=swift://bucket/run"], "--train_dir=swift://bucket/run is a URL"),
        (["--dataset_dir=data/fer"], "--dataset_dir=data/fer is on no volume of the job: it must be in /data."),
        (["--train_dir=/tmp/x"], "--train_dir=/tmp/x is on no volume"),
        (["--train_dir=/models/../etc"], "--train_dir=/models/../etc is on no volume"),
        (["--checkpoint_path=/checkpoints"], "it must be in /data or /models"),
        (["--restart"], "--restart cannot be used in a job"),
        (["--name=My_Job"], "--name=My_Job cannot be"),
        ([f"--name={'a' * 52}"], "cannot be"),
        (["--memory_per_ps=4GB"], "--memory_per_ps=4GB must be a Kubernetes quantity"),
        (["--num_workers=0", "--nochief"], "leaves no task that trains"),
        (["--learning_rat=1"], "Did you mean: learning_rate"),
        (["--optimizer=adm"], "Did you mean adam?"),
        (["--image="], "--image is required"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(flags, words, capsys):
    assert COMMAND.main([*JOB, *FOLDERS, *flags]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_the_script_writes_the_manifests_to_the_screen():
    script = ROOT / "scripts/render_tfjob.py"
    result = subprocess.run([sys.executable, script, *JOB, *FOLDERS], capture_output=True, text=True, check=True)
    assert [manifest["kind"] for manifest in yaml.safe_load_all(result.stdout)] == ["NetworkPolicy", "TFJob"]
