"""The options of training: one frozen dataclass per concern, named and defaulted as in research/slim. No TensorFlow.

They lie on the ground because training folders hold them, which evaluation, inference and export read. The options of
other commands are beside what they control: ``evaluation/options.py``, ``inference/options.py`` and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.errors import UsageError

OPTIMIZERS = ("adadelta", "adagrad", "adam", "adamw", "ftrl", "momentum", "rmsprop", "sgd")
DECAY_TYPES = ("fixed", "exponential", "polynomial", "cosine")
PRECISIONS = ("fp32", "bf16", "fp16", "auto")


@dataclass(frozen=True)
class DataOptions(Options):
    """Data."""

    dataset_dir: str | None = option(
        None, "Folder with the TFRecord files, info.json and labels.txt.", aliases=("data_dir",)
    )
    dataset_name: str | None = option(
        None, "Name of the data set: the start of its file names. Default: what info.json says."
    )
    dataset_split_name: str = option("train", "Which split to read.")
    labels_offset: int = option(
        0,
        "Subtracted from every label and from the number of classes: 1 drops a background class, -1 makes room for "
        "that of a released checkpoint.",
    )
    num_classes: int | None = option(
        None,
        "Number of classes of the net, where it differs from the data set's (more, never fewer).",
        at_least=1,
    )
    batch_size: int = option(32, "Images per clone and step.", at_least=1)
    num_readers: int = option(4, "Files read at the same time.", at_least=1)
    num_preprocessing_threads: int | None = option(
        None, "Threads that decode and distort images. Default: one for each processor.", at_least=1
    )
    shard_data: bool = option(
        False,
        "In a cluster: each worker reads its own part of the data, whole files where there are enough. Default: each "
        "reads all of it, in an order of its own.",
    )
    use_synthetic_data: bool = option(
        False, "Train on one batch of noise over and over: the speed of everything but the input."
    )


@dataclass(frozen=True)
class ModelOptions(Options):
    """Model."""

    model_name: str = option("inception_v3", "Name of the net; slim_train.nets.factory lists them.")
    preprocessing_name: str | None = option(
        None, "Preprocessing recipe, or a net whose recipe to use. Default: the net's own."
    )
    train_image_size: int | None = option(None, "Height and width in pixels. Default: the net's own.", at_least=1)
    train_image_channels: int | None = option(
        None,
        "Colour channels the net sees, 1 or 3; grey pictures become 3 equal ones. Default: the net's own.",
        choices=(1, 3),
    )
    use_grayscale: bool = option(False, "The same as --train_image_channels=1.")
    quantize_delay: int = option(-1, "For old command lines: -1, no quantization.", at_most=-1, saved=False)
    weight_decay: float = option(0.00004, "L2 penalty on weights (adamw: decoupled decay rate).", at_least=0)
    batch_norm_decay: float | None = option(
        None,
        "Decay of batch-norm moving statistics. Default: the net's own, 0.9997 for most.",
        at_least=0,
        at_most=1,
    )
    freeze_batch_norm: str = option(
        "auto",
        "true: batch norm runs on its moving statistics; auto: so below the lowest layer that --trainable_scopes "
        "trains.",
        choices=("auto", "true", "false"),
    )


@dataclass(frozen=True)
class AugmentationOptions(Options):
    """Augmentation."""

    augmentation: str = option(
        "recipe",
        "How training distorts pictures. recipe: as the preprocessing recipe does; none: not at all; faces: shift, "
        "rotate, scale, mirror and contrast, for small pictures cut to a face; randaugment: RandAugment on top of the "
        "recipe, its settings as timm writes them: rand-m9-n2-mstd0.5.",
    )
    random_erasing: float = option(
        0.0, "Chance of an image to have a rectangle blanked; 0.25 is customary.", at_least=0, at_most=1
    )
    mixup_alpha: float = option(
        0.0,
        "Mix each image and its label with another one of the batch, by weights from Beta(alpha, alpha); 0 never, 0.2 "
        "is customary.",
        at_least=0,
    )
    cutmix_alpha: float = option(
        0.0,
        "Put a rectangle of another image into each and mix their labels by its area, drawn likewise; 0 never, 1 is "
        "customary. With mixup each image gets one of both.",
        at_least=0,
    )


@dataclass(frozen=True)
class OptimizerOptions(Options):
    """Optimizer and learning rate."""

    optimizer: str = option("rmsprop", "How gradients become updates.", choices=OPTIMIZERS)
    learning_rate: float = option(0.01, "Initial learning rate.", at_least=0)
    learning_rate_decay_type: str = option(
        "exponential", "How the rate falls; exponential falls in steps.", choices=DECAY_TYPES
    )
    end_learning_rate: float = option(0.0001, "Last rate of polynomial and cosine decay.", at_least=0)
    learning_rate_decay_factor: float = option(0.94, "Factor of each exponential decay.", above=0)
    num_epochs_per_decay: float = option(2.0, "Epochs between exponential decays; length of polynomial decay.", above=0)
    learning_rate_multipliers: str | None = option(
        None,
        "SCOPE:NUMBER,...: variables in a scope learn at so many times the rate; 0 leaves them as they are, the "
        "innermost scope counts, auto is the classification head.",
    )
    warmup_steps: int = option(0, "Steps over which the rate first climbs to its height, in a line.", at_least=0)
    adadelta_rho: float = option(0.95, "adadelta: decay of the squared gradients.")
    adagrad_initial_accumulator_value: float = option(0.1, "adagrad: starting value of the accumulators.", above=0)
    adam_beta1: float = option(0.9, "adam, adamw: decay of the first moment.")
    adam_beta2: float = option(0.999, "adam, adamw: decay of the second moment.")
    opt_epsilon: float = option(
        1.0,
        "adadelta, adam, adamw, rmsprop: epsilon. 1.0 is research/slim's; adam's paper has 1e-8.",
        above=0,
    )
    ftrl_learning_rate_power: float = option(-0.5, "ftrl: power of the learning rate.", at_most=0)
    ftrl_initial_accumulator_value: float = option(0.1, "ftrl: starting value of the accumulators.", above=0)
    ftrl_l1: float = option(0.0, "ftrl: L1 strength.", at_least=0)
    ftrl_l2: float = option(0.0, "ftrl: L2 strength.", at_least=0)
    momentum: float = option(0.9, "momentum: share of the last update kept.")
    rmsprop_momentum: float = option(0.9, "rmsprop: share of the last update kept.")
    correct_async_momentum: bool = option(
        True,
        "momentum, rmsprop: with N asynchronous workers, use the momentum 1 - N * (1 - momentum), at least 0, as "
        "asynchrony adds momentum (Mitliagkas et al. 2016).",
    )
    rmsprop_decay: float = option(0.9, "rmsprop: decay of the squared gradients.")
    gradient_accumulation_steps: int = option(
        1,
        "Batches of each clone whose mean gradient makes one update, one after another: the effect of a larger "
        "--batch_size in the memory of a small one. Global steps are updates.",
        at_least=1,
    )
    gradient_clip_norm: float = option(0.0, "Scale gradients down to this global norm; 0 never.", at_least=0)
    label_smoothing: float = option(0.0, "Share of the target spread evenly over all classes.", at_least=0, at_most=1)
    class_weights: str = option(
        "none",
        "balanced: classes weigh in the loss by the inverse of their number of images.",
        choices=("none", "balanced"),
    )
    moving_average_decay: float | None = option(
        None,
        "Keep moving averages of the variables with this decay, for evaluation. Default: none.",
        above=0,
        at_most=1,
    )


@dataclass(frozen=True)
class RestoreOptions(Options):
    """Fine-tuning."""

    checkpoint_path: str | None = option(
        None,
        "Checkpoint to start from: a file prefix, or a folder whose latest is taken. A checkpoint in --train_dir wins.",
    )
    checkpoint_exclude_scopes: str | None = option(
        None,
        "Scopes, separated by commas, that are not restored from --checkpoint_path; auto: the net's classification "
        "head.",
    )
    trainable_scopes: str | None = option(
        None,
        "Scopes, separated by commas, that are trained; auto: the net's classification head. Default: all variables.",
    )
    ignore_missing_vars: bool = option(
        False, "Start variables that --checkpoint_path lacks from their initial values instead of stopping."
    )
    cache_features: bool = option(
        False,
        "Where only the classification head is trained (--trainable_scopes=auto): run the rest of the net once for "
        "each image, in its evaluation mode, and train the head on the features. They are kept and used again while "
        "checkpoint, data, preprocessing and precision are the same.",
    )
    cached_augmentations: int = option(
        0,
        "With --cache_features, and switches it on: features of so many distorted variants of each image, one of which "
        "an epoch takes. 0: of each image as evaluation sees it.",
        at_least=0,
    )
    feature_cache_dir: str | None = option(
        None, "Folder of cached features; several trainings may share it. Default: feature_cache in --train_dir."
    )

    @property
    def caches_features(self) -> bool:
        """Whether the head is trained on cached features."""
        return self.cache_features or self.cached_augmentations > 0


@dataclass(frozen=True)
class LoopOptions(Options):
    """Run."""

    train_dir: str = option("/tmp/tfmodel/", "Folder for checkpoints, logs and config.yaml.", aliases=("output_dir",))
    max_number_of_steps: int | None = option(
        None, "Stop at this global step. Default: --num_epochs, or never.", at_least=1
    )
    num_epochs: float | None = option(None, "Stop after so many passes over the data.", above=0)
    restart: bool = option(
        False,
        "Start fresh although --train_dir holds a checkpoint; the earlier run moves to previous-<n> in it.",
        saved=False,
    )
    seed: int | None = option(None, "Seed of initial values, order and distortions. Default: different each run.")
    log_every_n_steps: int = option(10, "Steps between log lines.", at_least=1)
    save_interval_secs: int = option(600, "Seconds between checkpoints; the last step is always saved.", at_least=1)
    save_summaries_secs: int = option(600, "Seconds between TensorBoard summaries; 0 writes none.", at_least=0)
    histogram_summaries: bool = option(False, "Also write histograms of variables, activations and gradients.")
    max_checkpoints_to_keep: int = option(5, "How many checkpoints stay in --train_dir; 0 keeps all.", at_least=0)
    profile_steps: str | None = option(None, "FIRST,LAST: write a TensorBoard profile of these steps.", saved=False)
    dry_run: bool = option(False, "Build everything, print the plan, run nothing.", saved=False)
    log_dir: str | None = option(None, "Folder for event files. Default: --train_dir.", saved=False)
    work_dir: str | None = option(None, "Accepted for old command lines; not used.", saved=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.profiled_steps()

    def profiled_steps(self) -> tuple[int, int] | None:
        """The first and last step to profile, or None; UsageError where --profile_steps has another form."""
        if self.profile_steps is None:
            return None
        first, _, last = self.profile_steps.partition(",")
        if first.strip().isdigit() and last.strip().isdigit() and 0 < int(first) <= int(last):
            return int(first), int(last)
        raise UsageError(
            f"--profile_steps={self.profile_steps} must be FIRST,LAST, two step numbers counted from 1, such as 10,20."
        )


@dataclass(frozen=True)
class ValidationOptions(Options):
    """Evaluation while training."""

    eval_split_name: str | None = option(
        None, "Split to evaluate while training; the best checkpoint is kept in best/."
    )
    eval_every_n_steps: int | None = option(
        None,
        "Steps between evaluations. Default: once an epoch, where --eval_split_name is given.",
        at_least=1,
    )
    eval_batch_size: int = option(100, "Images per evaluation step.", at_least=1)
    eval_flip: bool = option(
        False, "Average the probabilities of each image and of its mirror image; evaluation takes twice as long."
    )
    early_stopping_patience: int = option(
        0, "Stop after so many evaluations in a row without a better accuracy; 0 never.", at_least=0
    )


@dataclass(frozen=True)
class ClusterOptions(Options):
    """Devices and cluster."""

    num_clones: int = option(1, "Copies of the net, one per GPU.", aliases=("num_gpus",), at_least=0)
    clone_on_cpu: bool = option(False, "Put the clones on the CPU.")
    sync_replicas: bool = option(
        False, "Parameter servers average --replicas_to_aggregate gradients and update once, instead of once for each."
    )
    replicas_to_aggregate: int | None = option(
        None,
        "Gradients per synchronous update. Default: one of each worker. With fewer the others are backup workers: the "
        "slowest gradients of a step are dropped.",
        at_least=1,
    )
    startup_delay_steps: int = option(
        50,
        "Asynchronous workers: worker N joins at global step N times this number, so that the chief takes the first, "
        "unstable steps alone. At most a quarter of the training is spent on this. 0: all workers start together.",
        at_least=0,
    )
    cluster_wait_secs: int = option(
        1800, "Seconds to wait for other tasks of the cluster to appear; 0 waits for ever.", at_least=0
    )
    collective_timeout_secs: int = option(
        60,
        "Without parameter servers: when a task of the cluster is lost, the others end within so many seconds.",
        at_least=5,
    )
    partition_min_bytes: int = option(
        64 * 2**20,
        "Variables of so many bytes and more are split over the parameter servers; 0 keeps all whole. Checkpoints hold "
        "them whole either way.",
        at_least=0,
    )
    ps_idle_timeout_secs: int = option(
        1800,
        "A parameter server fails when the chief has been gone for so many seconds; 0 never.",
        at_least=0,
    )
    master: str = option("", "Address of a TensorFlow server started by hand.", saved=False)
    task: int = option(0, "Number of this worker, for servers started by hand.", at_least=0, saved=False)
    worker_replicas: int = option(1, "Number of workers, for servers started by hand.", at_least=1, saved=False)
    num_ps_tasks: int = option(0, "Number of parameter servers, for servers started by hand.", at_least=0, saved=False)


@dataclass(frozen=True)
class ComputeOptions(Options):
    """Precision and speed."""

    precision: str = option(
        "fp32",
        "Of convolutions and matrix products; variables and checkpoints stay float32. bf16 is for CPUs, fp16 for GPUs. "
        "auto: the faster of fp32 and these, measured on this machine first.",
        choices=PRECISIONS,
    )
    xla: bool = option(False, "Compile with XLA; for GPUs.")


@dataclass(frozen=True)
class TrainOptions(Options):
    """Everything that train_image_classifier can be told."""

    data: DataOptions = field(default_factory=DataOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    augment: AugmentationOptions = field(default_factory=AugmentationOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    restore: RestoreOptions = field(default_factory=RestoreOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
