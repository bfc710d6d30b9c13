"""The flags of the commands that write the Kubernetes manifests of a training job, and their checks."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slim_train.cli.command import Command
from slim_train.config import Options, flag_specs, option
from slim_train.errors import UsageError
from slim_train.extensions import check_names
from slim_train.training_options import TrainOptions

if TYPE_CHECKING:
    from deployment.kubernetes.training_job import TrainingJob

# The names of its tasks, such as <name>-evaluator-0 and <name>-worker-9999, are DNS labels of at most 63 characters.
_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,49}[a-z0-9])?")
_MEMORY = re.compile(r"[1-9]\d*(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?")


@dataclass(frozen=True)
class JobOptions(Options):
    """Job."""

    name: str = option("slim-train", "Name of the job: lower-case letters, digits and -, beginning with a letter.")
    namespace: str | None = option(None, "Kubernetes namespace. Default: the submitter's.")
    image: str | None = option(None, "Container image with slim-train, built from the Dockerfile.")
    data_claim: str | None = option(
        None, "Persistent volume claim for /data, which holds --dataset_dir. Read-only. Not needed for gs:// folders."
    )
    train_claim: str | None = option(
        None, "Persistent volume claim for /models, which holds --train_dir. Not needed for gs:// folders."
    )
    service_account: str | None = option(
        None, "Kubernetes service account of the pods, for example one that may use a bucket. Default: none."
    )
    credentials_secret: str | None = option(
        None,
        "Kubernetes secret with the key key.json, a file for GOOGLE_APPLICATION_CREDENTIALS. Default: none.",
    )
    output: str | None = option(None, "File for the manifests. Default: standard output.", takes_urls=True)


@dataclass(frozen=True)
class TaskOptions(Options):
    """Tasks and what each gets."""

    num_ps: int = option(1, "Number of parameter servers. 0: workers average gradients by all-reduce.", at_least=0)
    num_workers: int = option(2, "Number of workers, not counting the chief.", at_least=0)
    chief: bool = option(True, "Use a chief besides the workers. If false, worker 0 is the chief.")
    evaluator: bool = option(False, "Use an evaluator, which evaluates each new checkpoint.")
    gpus_per_worker: int = option(0, "NVIDIA GPUs of each worker and the chief, with one clone per GPU.", at_least=0)
    cpus_per_worker: int = option(4, "CPUs of each worker, the chief and the evaluator.", at_least=1)
    memory_per_worker: str = option("8Gi", "Memory of each worker, the chief and the evaluator.")
    cpus_per_ps: int = option(2, "CPUs of each parameter server.", at_least=1)
    memory_per_ps: str = option("4Gi", "Memory of each parameter server.")
    max_restarts: int = option(
        10,
        "Failures after which the job fails: of all tasks together in a TFJob, of the tasks of one role in a Job.",
        at_least=0,
    )


@dataclass(frozen=True)
class RenderOptions(Options):
    """The options of the commands."""

    job: JobOptions = field(default_factory=JobOptions)
    tasks: TaskOptions = field(default_factory=TaskOptions)
    training: TrainOptions = field(default_factory=TrainOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _JOB_NAME.fullmatch(self.job.name):
            raise UsageError(
                f"--name={self.job.name} cannot be a job's name in Kubernetes: at most 51 lower-case letters, digits "
                "and -, a letter first, no - at the end."
            )
        if not self.tasks.num_workers and not self.tasks.chief:
            raise UsageError("--num_workers=0 --nochief leaves no task that trains.")
        for flag in ("memory_per_worker", "memory_per_ps"):
            if not _MEMORY.fullmatch(getattr(self.tasks, flag)):
                raise UsageError(f"--{flag}={getattr(self.tasks, flag)} must be a Kubernetes quantity, such as 8Gi.")


def command(name: str, summary: str, render: Callable[[TrainingJob], str]) -> Command[RenderOptions]:
    """Return a command that writes what ``render`` makes of a job."""
    return Command(
        name=name,
        summary=f"{summary} Besides the job's own flags it takes those of train_image_classifier, on the command line "
        "or in the --config file, for the job's tasks.",
        defaults=RenderOptions(),
        run=lambda options: _write(render(_job(options)), options.job.output),
        check=lambda options: check_names(options.training),
        required=("image", "dataset_dir"),
        uses_tensorflow=False,
    )


def _job(options: RenderOptions) -> TrainingJob:
    from deployment.kubernetes.training_job import TrainingJob

    job, tasks, training = options.job, options.tasks, _training(options)
    assert job.image  # a required flag
    return TrainingJob(
        name=job.name,
        namespace=job.namespace,
        image=job.image,
        flags=list(_flags(training)),
        data_claim=job.data_claim,
        train_claim=job.train_claim,
        num_chiefs=int(tasks.chief),
        num_ps=tasks.num_ps,
        num_workers=tasks.num_workers,
        num_evaluators=int(tasks.evaluator),
        gpus_per_worker=tasks.gpus_per_worker,
        cpus_per_worker=tasks.cpus_per_worker,
        memory_per_worker=tasks.memory_per_worker,
        cpus_per_ps=tasks.cpus_per_ps,
        memory_per_ps=tasks.memory_per_ps,
        max_restarts=tasks.max_restarts,
        service_account=job.service_account,
        credentials_secret=job.credentials_secret,
    )


def _write(manifests: str, output: str | None) -> None:
    if output is None:
        print(manifests, end="")
        return
    from datasets.files import replacing
    from datasets.storage import path_of

    with replacing(path_of(output)) as path:
        path.write_text(manifests, encoding="utf-8")


def _training(options: RenderOptions) -> TrainOptions:
    """Return the options of training in the job.

    Raises:
      UsageError: they name a folder that is on no volume of the job, or would do harm in a job whose tasks are
        restarted.
    """
    from deployment.kubernetes.training_job import DATA_MOUNT, MODELS_MOUNT

    training = options.training
    data = _Volume(DATA_MOUNT, "data_claim", options.job.data_claim)
    models = _Volume(MODELS_MOUNT, "train_claim", options.job.train_claim)
    _check_mounted("dataset_dir", training.data.dataset_dir, data)
    _check_mounted("train_dir", training.loop.train_dir, models)
    _check_mounted("log_dir", training.loop.log_dir, models)
    _check_mounted("checkpoint_path", training.restore.checkpoint_path, data, models)
    if training.loop.restart or training.loop.dry_run:
        flag = "restart" if training.loop.restart else "dry_run"
        raise UsageError(f"--{flag} cannot be used in a job: it would apply again to a task that Kubernetes restarts.")
    clones = training.cluster.num_clones
    if options.tasks.gpus_per_worker > 1 and clones == 1:
        clones = options.tasks.gpus_per_worker
    return replace(training, cluster=replace(training.cluster, num_clones=clones))


@dataclass(frozen=True)
class _Volume:
    """A volume of the job: where it is mounted, the flag that names its claim, and the claim."""

    mount: str
    flag: str
    claim: str | None


def _check_mounted(flag: str, path: str | None, *volumes: _Volume) -> None:
    from datasets.storage import is_url

    if path is None or is_url(path):
        return
    normal = PurePosixPath(posixpath.normpath(path))
    volume = next((volume for volume in volumes if normal.is_relative_to(volume.mount)), None)
    if volume is None:
        mounts = " or ".join(volume.mount for volume in volumes)
        raise UsageError(f"--{flag}={path} is on no volume of the job: it must be in {mounts}.")
    if not volume.claim:
        raise UsageError(f"--{volume.flag} is required: it names the volume that holds --{flag}={path}.")


def _flags(training: TrainOptions) -> Iterator[str]:
    """Yield the command line that gives these options: all that differ from their defaults."""
    for spec, default in zip(flag_specs(training), flag_specs(TrainOptions()), strict=True):
        value = spec.default
        if value == default.default:
            continue
        if spec.type is bool:
            yield f"--{spec.name}" if value else f"--no{spec.name}"
        else:
            yield f"--{spec.name}={'' if value is None else value}"
