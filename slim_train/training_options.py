"""The options of training: one frozen dataclass per concern, named and defaulted as in research/slim. No TensorFlow.

They lie on the ground because training folders hold them, which evaluation, inference and export read. The options of
other commands are beside what they control: ``evaluation/options.py``, ``inference/options.py`` and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.errors import UsageError

# slim-train's own; others come by name, see extensions.py.
LOSSES = ("focal", "softmax")
AUGMENTATIONS = ("faces", "none", "randaugment", "recipe")
RANDAUGMENT_PREFIX = "rand-"
OPTIMIZERS = ("adadelta", "adagrad", "adam", "adamw", "ftrl", "momentum", "rmsprop", "sgd")
DECAY_TYPES = ("fixed", "exponential", "polynomial", "cosine")
SCALED_DECODING = ("auto", "never")
PRECISIONS = ("fp32", "bf16", "fp16", "auto")


@dataclass(frozen=True)
class DataOptions(Options):
    """Data."""

    dataset_dir: str | None = option(
        None,
        "Folder with the TFRecord files: of download_and_convert_data, or of other tools.",
        aliases=("data_dir",),
        takes_urls=True,
    )
    dataset_name: str | None = option(
        None, "Name of the data set: the prefix of its file names. Default: the name in info.json."
    )
    dataset_split_name: str = option("train", "Split to read.")
    file_pattern: str | None = option(
        None,
        "Pattern of the names of the record files, such as train-*. %s stands for the split. Default: found by their "
        "names.",
    )
    image_key: str | None = option(None, "Key of the encoded image in records of other tools. Default: found.")
    label_key: str | None = option(None, "Key of the label in records of other tools. Default: found.")
    text_key: str | None = option(None, "Key of the class name in records, if that is to be the label.")
    dataset_file: str | None = option(
        None,
        "Python file that describes the records, as a data set module of research/slim does: get_split, or "
        "_FILE_PATTERN and _NUM_CLASSES. The file runs: use only code you trust.",
        saved=False,
        runs_code=True,
    )
    labels_offset: int = option(
        0,
        "Number to subtract from every label, and from the number of classes. 1 drops a background class; -1 "
        "adds one, for a released checkpoint that has it.",
    )
    num_classes: int | None = option(
        None,
        "Number of classes of the net. Default: that of the data set. May be higher, not lower.",
        at_least=1,
    )
    batch_size: int = option(32, "Images per clone and step.", at_least=1)
    num_readers: int = option(4, "Number of files to read in parallel.", at_least=1)
    num_preprocessing_threads: int | None = option(
        None, "Threads that decode and augment images. Default: one per CPU.", at_least=1
    )
    shard_data: bool = option(
        False,
        "In a cluster, each worker reads its own part of the data: whole files if there are enough. Default: "
        "each worker reads all data in its own order.",
    )
    use_synthetic_data: bool = option(
        False, "Train on one batch of noise, repeated. Measures the speed of everything but the input."
    )


@dataclass(frozen=True)
class ModelOptions(Options):
    """Model."""

    model_name: str = option("inception_v3", "Name of the net. slim_models lists the nets.")
    preprocessing_name: str | None = option(
        None, "Preprocessing recipe, or a net whose recipe to use. Default: the recipe of the net."
    )
    train_image_size: int | None = option(
        None, "Image height and width in pixels. Default: that of the net.", at_least=1
    )
    train_image_channels: int | None = option(
        None,
        "Color channels of the input, 1 or 3. Gray images are repeated over 3 channels. Default: that of the net.",
        choices=(1, 3),
    )
    use_grayscale: bool = option(False, "Same as --train_image_channels=1.")
    scaled_decoding: str = option(
        "auto",
        "auto: decode JPEGs of 1 megapixel and more at 1/2, 1/4 or 1/8 of their size if at least twice the image size "
        "of the net remains. never: decode all pixels.",
        choices=SCALED_DECODING,
    )
    quantize_delay: int = option(-1, "For old command lines. Must be -1: no quantization.", at_most=-1, saved=False)
    weight_decay: float = option(0.00004, "L2 penalty on weights. adamw: decoupled decay rate.", at_least=0)
    batch_norm_decay: float | None = option(
        None,
        "Decay of the moving statistics of batch norm. Default: that of the net, 0.9997 for most.",
        at_least=0,
        at_most=1,
    )
    freeze_batch_norm: str = option(
        "auto",
        "true: batch norm uses its moving statistics. auto: it does so below the lowest layer that "
        "--trainable_scopes trains.",
        choices=("auto", "true", "false"),
    )


@dataclass(frozen=True)
class NetCodeOptions(Options):
    """A net of your own."""

    model_file: str | None = option(
        None,
        "Python file with the net --model_name: a function in research/slim's convention, or a NetRecord. The file "
        "runs: use only code you trust.",
        runs_code=True,
    )
    model_module: str | None = option(
        None,
        "Python module with the net --model_name, such as my_package.nets. Like --model_file.",
        runs_code=True,
    )
    arg_scope: str | None = option(
        None,
        "Function of --model_file that returns the arg scope of the net. none: no arg scope. Default: found by its "
        "name, as in research/slim.",
    )
    model_args: str | None = option(
        None, "NAME=VALUE,...: further arguments of the net of --model_file, for example depth_multiplier=0.5."
    )


@dataclass(frozen=True)
class UserCodeOptions(NetCodeOptions):
    """Code of your own."""

    preprocessing_file: str | None = option(
        None,
        "Python file with a function preprocess_image(image, output_height, output_width, is_training), as in "
        "research/slim. The file runs: use only code you trust.",
        runs_code=True,
    )


@dataclass(frozen=True)
class TrustedCodeOptions(UserCodeOptions):
    """Code of your own, of a training folder."""

    trust_model_code: bool = option(
        False,
        "Run the copies of --model_file and --preprocessing_file in the training folder, and the --model_module it "
        "names. Without it, such code runs only if you name it again.",
        saved=False,
        runs_code=True,
    )


@dataclass(frozen=True)
class AugmentationOptions(Options):
    """Augmentation."""

    augmentation: str = option(
        "recipe",
        "Augmentation of training images. recipe: that of the preprocessing recipe. none: no augmentation. "
        "faces: shift, rotation, scale, mirroring and contrast, for small images cropped to a face. "
        "randaugment: RandAugment after the recipe; settings are written as in timm, for example "
        "rand-m9-n2-mstd0.5. Or the name of your own, see docs/extending.md.",
    )
    random_erasing: float = option(
        0.0, "Probability that a rectangle of an image is erased. Common value: 0.25.", at_least=0, at_most=1
    )
    mixup_alpha: float = option(
        0.0,
        "Mix each image and its label with another image of the batch, with weights from Beta(alpha, alpha). "
        "0: off. Common value: 0.2.",
        at_least=0,
    )
    cutmix_alpha: float = option(
        0.0,
        "Paste a rectangle of another image into each image and mix the labels by area, drawn from "
        "Beta(alpha, alpha). 0: off. Common value: 1. With --mixup_alpha, each image gets one of the two.",
        at_least=0,
    )


@dataclass(frozen=True)
class OptimizerOptions(Options):
    """Loss, optimizer and learning rate."""

    loss: str = option(
        "softmax",
        "Loss. softmax: cross entropy. focal: cross entropy with a lower weight on well-classified images (Lin et al. "
        "2017). Or the name of your own, see docs/extending.md.",
    )
    focal_gamma: float = option(2.0, "focal: exponent of the weight (1 - p). 0: cross entropy.", at_least=0)
    optimizer: str = option(
        "rmsprop", f"Optimizer. One of {', '.join(OPTIMIZERS)}, or the name of your own, see docs/extending.md."
    )
    learning_rate: float = option(0.01, "Initial learning rate.", at_least=0)
    learning_rate_decay_type: str = option(
        "exponential", "Learning rate schedule. exponential falls in steps.", choices=DECAY_TYPES
    )
    end_learning_rate: float = option(0.0001, "Final learning rate of polynomial and cosine decay.", at_least=0)
    learning_rate_decay_factor: float = option(0.94, "Factor of each exponential decay.", above=0)
    num_epochs_per_decay: float = option(2.0, "Epochs between exponential decays; epochs of polynomial decay.", above=0)
    learning_rate_multipliers: str | None = option(
        None,
        "SCOPE:NUMBER,...: scale the learning rate of a scope by NUMBER. 0 freezes it. The innermost scope "
        "wins. auto is the classification head.",
    )
    warmup_steps: int = option(0, "Steps of linear warm-up of the learning rate.", at_least=0)
    adadelta_rho: float = option(0.95, "adadelta: decay of the squared gradients.")
    adagrad_initial_accumulator_value: float = option(0.1, "adagrad: initial value of the accumulators.", above=0)
    adam_beta1: float = option(0.9, "adam, adamw: decay of the first moment.")
    adam_beta2: float = option(0.999, "adam, adamw: decay of the second moment.")
    opt_epsilon: float = option(
        1.0,
        "adadelta, adam, adamw, rmsprop: epsilon. The default is that of research/slim; the Adam paper uses 1e-8.",
        above=0,
    )
    ftrl_learning_rate_power: float = option(-0.5, "ftrl: power of the learning rate.", at_most=0)
    ftrl_initial_accumulator_value: float = option(0.1, "ftrl: initial value of the accumulators.", above=0)
    ftrl_l1: float = option(0.0, "ftrl: L1 strength.", at_least=0)
    ftrl_l2: float = option(0.0, "ftrl: L2 strength.", at_least=0)
    momentum: float = option(0.9, "momentum: momentum.")
    rmsprop_momentum: float = option(0.9, "rmsprop: momentum.")
    correct_async_momentum: bool = option(
        True,
        "momentum, rmsprop: with N asynchronous workers, train with momentum 1 - N * (1 - momentum), at least "
        "0, because asynchrony adds momentum (Mitliagkas et al. 2016).",
    )
    rmsprop_decay: float = option(0.9, "rmsprop: decay of the squared gradients.")
    gradient_accumulation_steps: int = option(
        1,
        "Batches per clone whose mean gradient makes one update: the effect of a larger --batch_size at the "
        "memory of a small one. Global steps count updates.",
        at_least=1,
    )
    gradient_clip_norm: float = option(0.0, "Clip gradients to this global norm. 0: off.", at_least=0)
    label_smoothing: float = option(
        0.0, "Share of the target that is spread evenly over all classes. Not for focal.", at_least=0, at_most=1
    )
    class_weights: str = option(
        "none",
        "balanced: weight classes in the loss by the inverse of their number of images.",
        choices=("none", "balanced"),
    )
    moving_average_decay: float | None = option(
        None,
        "Decay of moving averages of the variables, which evaluation then uses. Default: no averages.",
        above=0,
        at_most=1,
    )


@dataclass(frozen=True)
class RestoreOptions(Options):
    """Fine-tuning."""

    checkpoint_path: str | None = option(
        None,
        "Checkpoint to start from: a file prefix, a folder, whose latest checkpoint is used, a Keras model "
        "(.keras), or weights of timm (.safetensors). A checkpoint in --train_dir takes precedence.",
        takes_urls=True,
    )
    checkpoint_exclude_scopes: str | None = option(
        None,
        "Comma-separated scopes not to restore from --checkpoint_path. auto: the classification head.",
    )
    trainable_scopes: str | None = option(
        None,
        "Comma-separated scopes to train. auto: the classification head. Default: all variables.",
    )
    ignore_missing_vars: bool = option(
        False, "Initialize variables that are missing in --checkpoint_path instead of failing."
    )
    cache_features: bool = option(
        False,
        "Run the frozen part of the net once per image, in evaluation mode, and train the head on these "
        "features. Requires that only the head is trained (--trainable_scopes=auto). Features are reused "
        "while checkpoint, data, preprocessing and precision stay the same.",
    )
    cached_augmentations: int = option(
        0,
        "Number of augmented variants to cache per image; each epoch uses one. Implies --cache_features. 0: "
        "cache images as evaluation sees them.",
        at_least=0,
    )
    feature_cache_dir: str | None = option(
        None,
        "Folder of cached features. Training runs may share it. Default: feature_cache in --train_dir.",
        takes_urls=True,
    )

    @property
    def caches_features(self) -> bool:
        """Whether the head is trained on cached features."""
        return self.cache_features or self.cached_augmentations > 0


@dataclass(frozen=True)
class LoopOptions(Options):
    """Run."""

    train_dir: str = option(
        "/tmp/tfmodel/", "Folder for checkpoints, logs and config.yaml.", aliases=("output_dir",), takes_urls=True
    )
    max_number_of_steps: int | None = option(
        None, "Global step at which to stop. Default: --num_epochs, or never.", at_least=1
    )
    num_epochs: float | None = option(None, "Stop after this number of epochs.", above=0)
    restart: bool = option(
        False,
        "Start over although --train_dir holds a checkpoint. The earlier run is moved to previous-<n> in it.",
        saved=False,
    )
    seed: int | None = option(
        None, "Random seed of initial values, order and augmentation. Default: different in each run."
    )
    log_every_n_steps: int = option(10, "Steps between log lines.", at_least=1)
    save_interval_secs: int = option(600, "Seconds between checkpoints. The last step is always saved.", at_least=1)
    save_interval_steps: int | None = option(
        None, "Also save a checkpoint every this number of global steps. Default: only by time.", at_least=1
    )
    save_retry_secs: int = option(
        600,
        "If a checkpoint cannot be saved (full disk, store that does not answer), train on and try again for this "
        "number of seconds. At the end of training at most 60. 0: give up at once.",
        at_least=0,
    )
    save_summaries_secs: int = option(600, "Seconds between TensorBoard summaries. 0: no summaries.", at_least=0)
    histogram_summaries: bool = option(False, "Also write histograms of variables, activations and gradients.")
    max_checkpoints_to_keep: int = option(5, "Number of checkpoints to keep in --train_dir. 0: keep all.", at_least=0)
    profile_steps: str | None = option(None, "FIRST,LAST: write a TensorBoard profile of these steps.", saved=False)
    dry_run: bool = option(False, "Build everything and print the plan, without training.", saved=False)
    log_dir: str | None = option(None, "Folder for event files. Default: --train_dir.", saved=False, takes_urls=True)
    mlflow_uri: str | None = option(
        None,
        "Also write scalars, flags and final figures to this MLflow server, such as http://localhost:5000. Extra "
        "[mlflow].",
        saved=False,
        is_address=True,
    )
    mlflow_experiment: str = option("slim-train", "Experiment of MLflow; made if there is none.", saved=False)
    work_dir: str | None = option(None, "For old command lines. Ignored.", saved=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.profiled_steps()

    def profiled_steps(self) -> tuple[int, int] | None:
        """Return the first and last step to profile, or None; UsageError where --profile_steps has another form."""
        if self.profile_steps is None:
            return None
        first, _, last = self.profile_steps.partition(",")
        if first.strip().isdigit() and last.strip().isdigit() and 0 < int(first) <= int(last):
            return int(first), int(last)
        raise UsageError(
            f"--profile_steps={self.profile_steps} must be FIRST,LAST: two step numbers from 1, for example 10,20."
        )


@dataclass(frozen=True)
class ValidationOptions(Options):
    """Evaluation while training."""

    eval_split_name: str | None = option(
        None, "Split to evaluate during training. The best checkpoint is kept in best/."
    )
    eval_every_n_steps: int | None = option(
        None,
        "Steps between evaluations. Default: once per epoch.",
        at_least=1,
    )
    eval_batch_size: int = option(100, "Images per evaluation step.", at_least=1)
    eval_flip: bool = option(
        False, "Average the probabilities of each image and its mirror image. Doubles the time of evaluation."
    )
    early_stopping_patience: int = option(
        0, "Stop after this number of evaluations without a better accuracy. 0: off.", at_least=0
    )


@dataclass(frozen=True)
class ClusterOptions(Options):
    """Devices and cluster."""

    num_clones: int = option(1, "Number of copies of the net, one per GPU.", aliases=("num_gpus",), at_least=0)
    clone_on_cpu: bool = option(False, "Place the clones on the CPU.")
    sync_replicas: bool = option(
        False,
        "Parameter servers average --replicas_to_aggregate gradients per update, instead of one update per gradient.",
    )
    replicas_to_aggregate: int | None = option(
        None,
        "Gradients per synchronous update. Default: one per worker. If lower, the other workers are backup "
        "workers: the slowest gradients of a step are dropped.",
        at_least=1,
    )
    startup_delay_steps: int = option(
        50,
        "Asynchronous workers: worker N joins at global step N times this number, so that the chief takes the "
        "first, unstable steps alone. All workers join within the first quarter of the training. 0: all start "
        "together.",
        at_least=0,
    )
    cluster_wait_secs: int = option(1800, "Seconds to wait for other tasks of the cluster. 0: no limit.", at_least=0)
    task_timeout_secs: int = option(
        30,
        "With parameter servers: seconds without an answer after which a task counts as lost. Calls to it are given "
        "up, and the other tasks go on when it answers again or is replaced. 0: never.",
        at_least=0,
    )
    collective_timeout_secs: int = option(
        60,
        "Without parameter servers: seconds within which all tasks end after one is lost.",
        at_least=5,
    )
    partition_min_bytes: int = option(
        64 * 2**20,
        "Size in bytes from which variables are split over the parameter servers. 0: never split. Checkpoints "
        "hold them whole either way.",
        at_least=0,
    )
    ps_wire_dtype: str = option(
        "fp32",
        "Precision in which large variables and gradients cross between workers and parameter servers. bf16 halves "
        "the bytes; both sides compute and store float32.",
        choices=("fp32", "bf16"),
    )
    ps_idle_timeout_secs: int = option(
        1800,
        "Seconds without the chief after which a parameter server fails. 0: never.",
        at_least=0,
    )
    master: str = option("", "Address of a TensorFlow server that you started.", saved=False, is_address=True)
    task: int = option(0, "Number of this worker, for servers that you started.", at_least=0, saved=False)
    worker_replicas: int = option(1, "Number of workers, for servers that you started.", at_least=1, saved=False)
    num_ps_tasks: int = option(0, "Number of parameter servers, for servers that you started.", at_least=0, saved=False)


@dataclass(frozen=True)
class ComputeOptions(Options):
    """Precision and speed."""

    precision: str = option(
        "fp32",
        "Precision of convolutions and matrix products. Variables and checkpoints stay float32. bf16 is for "
        "CPUs, fp16 for GPUs. auto: the fastest on this machine, measured first.",
        choices=PRECISIONS,
    )
    xla: bool = option(False, "Compile with XLA. GPUs only.")


@dataclass(frozen=True)
class RecordCacheOptions(Options):
    """Copies of record files."""

    cache_dir: str | None = option(
        None,
        "Copy record files to this folder when they are first read, for slow stores. Processes may share it. Default: "
        "only files that TensorFlow cannot open, to a temporary folder.",
        saved=False,
    )
    cache_max_gb: float = option(
        10.0,
        "Size of all copies in gigabytes. The least recently used go first. Files that are being read may exceed it.",
        above=0,
        saved=False,
    )


@dataclass(frozen=True)
class TrainOptions(Options):
    """Everything that train_image_classifier can be told."""

    data: DataOptions = field(default_factory=DataOptions)
    record_cache: RecordCacheOptions = field(default_factory=RecordCacheOptions)
    model: ModelOptions = field(default_factory=ModelOptions)
    code: UserCodeOptions = field(default_factory=UserCodeOptions)
    augment: AugmentationOptions = field(default_factory=AugmentationOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    restore: RestoreOptions = field(default_factory=RestoreOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    compute: ComputeOptions = field(default_factory=ComputeOptions)
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
