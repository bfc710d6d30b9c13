"""The keywords of the Python functions and their types, for type checkers and editors. No TensorFlow.

Written by scripts/update_keywords.py from the options of the commands: do not edit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypedDict

# Where a command takes text, a function also takes a path, or a sequence instead of text with commas.
Text = str | os.PathLike[str] | Sequence[str]


class ConvertFlags(TypedDict, total=False):
    """Flags of download_and_convert_data."""

    dataset_name: Text | None
    on_error: Text
    exclude: Text | None
    num_shards: int
    overwrite: bool
    max_image_side: int | None
    jpeg_quality: int
    num_workers: int | None
    test_fraction: float
    split_by: Text
    seed: int
    group_by: Text | None
    group_duplicates: bool
    spark_master: Text | None
    spark_remote: Text | None
    spark_conf: Text | None


class InspectFlags(TypedDict, total=False):
    """Flags of inspect_dataset."""

    data_dir: Text | None
    dataset_name: Text | None
    file_pattern: Text | None
    image_key: Text | None
    label_key: Text | None
    text_key: Text | None
    dataset_file: Text | None
    labels_offset: int
    decode: bool
    images_per_class: int
    output_dir: Text | None
    write_info: bool
    num_workers: int | None
    duplicates: Text
    duplicate_distance: int
    write_exclusions: Text | None
    model_name: Text | None
    checkpoint_path: Text | None
    train_dir: Text | None
    preprocessing_name: Text | None
    tfhub_module: Text | None
    graph: Text | None
    saved_model_dir: Text | None
    input_layer: Text | None
    input_mean: float | None
    input_std: float | None
    image_size: int | None
    end_points: Text | None
    pooling: Text
    average_flip: bool
    precision: Text
    scaled_decoding: Text
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    trust_model_code: bool


class TrainFlags(TypedDict, total=False):
    """Flags of train_image_classifier."""

    data_dir: Text | None
    dataset_name: Text | None
    dataset_split_name: Text
    file_pattern: Text | None
    image_key: Text | None
    label_key: Text | None
    text_key: Text | None
    dataset_file: Text | None
    labels_offset: int
    num_classes: int | None
    batch_size: int
    num_readers: int
    num_preprocessing_threads: int | None
    shard_data: bool
    use_synthetic_data: bool
    cache_dir: Text | None
    cache_max_gb: float
    model_name: Text
    preprocessing_name: Text | None
    train_image_size: int | None
    train_image_channels: int | None
    use_grayscale: bool
    scaled_decoding: Text
    quantize_delay: int
    weight_decay: float
    batch_norm_decay: float | None
    freeze_batch_norm: Text
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    augmentation: Text
    random_erasing: float
    mixup_alpha: float
    cutmix_alpha: float
    loss: Text
    focal_gamma: float
    optimizer: Text
    learning_rate: float
    learning_rate_decay_type: Text
    end_learning_rate: float
    learning_rate_decay_factor: float
    num_epochs_per_decay: float
    learning_rate_multipliers: Text | None
    warmup_steps: int
    adadelta_rho: float
    adagrad_initial_accumulator_value: float
    adam_beta1: float
    adam_beta2: float
    opt_epsilon: float
    ftrl_learning_rate_power: float
    ftrl_initial_accumulator_value: float
    ftrl_l1: float
    ftrl_l2: float
    momentum: float
    rmsprop_momentum: float
    correct_async_momentum: bool
    rmsprop_decay: float
    gradient_accumulation_steps: int
    gradient_clip_norm: float
    label_smoothing: float
    class_weights: Text
    moving_average_decay: float | None
    checkpoint_path: Text | None
    checkpoint_exclude_scopes: Text | None
    trainable_scopes: Text | None
    ignore_missing_vars: bool
    cache_features: bool
    cached_augmentations: int
    feature_cache_dir: Text | None
    output_dir: Text
    max_number_of_steps: int | None
    num_epochs: float | None
    restart: bool
    seed: int | None
    log_every_n_steps: int
    save_interval_secs: int
    save_interval_steps: int | None
    save_retry_secs: int
    save_summaries_secs: int
    histogram_summaries: bool
    max_checkpoints_to_keep: int
    profile_steps: Text | None
    dry_run: bool
    log_dir: Text | None
    mlflow_uri: Text | None
    mlflow_experiment: Text
    work_dir: Text | None
    eval_split_name: Text | None
    eval_every_n_steps: int | None
    eval_batch_size: int
    eval_flip: bool
    early_stopping_patience: int
    precision: Text
    xla: bool
    num_clones: int
    num_gpus: int
    clone_on_cpu: bool
    sync_replicas: bool
    replicas_to_aggregate: int | None
    startup_delay_steps: int
    cluster_wait_secs: int
    task_timeout_secs: int
    collective_timeout_secs: int
    partition_min_bytes: int
    ps_wire_dtype: Text
    ps_idle_timeout_secs: int
    master: Text
    task: int
    worker_replicas: int
    num_ps_tasks: int


class EvalFlags(TypedDict, total=False):
    """Flags of eval_image_classifier."""

    train_dir: Text
    output_dir: Text
    eval_dir: Text | None
    dataset_dir: Text | None
    data_dir: Text | None
    dataset_name: Text | None
    dataset_split_name: Text
    split: Text
    file_pattern: Text | None
    image_key: Text | None
    label_key: Text | None
    text_key: Text | None
    dataset_file: Text | None
    labels_offset: int | None
    num_classes: int | None
    model_name: Text | None
    preprocessing_name: Text | None
    eval_image_size: int | None
    eval_image_channels: int | None
    use_grayscale: bool
    scaled_decoding: Text | None
    quantize: bool
    batch_size: int
    eval_flip: bool | None
    max_num_batches: int | None
    num_preprocessing_threads: int | None
    moving_average_decay: float | None
    eval_interval_secs: int
    keep_best: bool
    report_by: Text | None
    report_columns: Text | None
    mistakes: int
    master: Text
    cache_dir: Text | None
    cache_max_gb: float
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    trust_model_code: bool
    precision: Text
    xla: bool


class CompareFlags(TypedDict, total=False):
    """Flags of compare_runs."""

    dataset_split_name: Text | None
    split: Text | None
    examples: int
    html_file: Text | None


class ExportFlags(TypedDict, total=False):
    """Flags of export_inference_graph."""

    train_dir: Text | None
    output_dir: Text | None
    model_name: Text | None
    dataset_name: Text | None
    dataset_dir: Text | None
    data_dir: Text | None
    labels: Text | None
    num_classes: int | None
    labels_offset: int | None
    preprocessing_name: Text | None
    image_size: int | None
    eval_image_size: int | None
    use_grayscale: bool
    scaled_decoding: Text | None
    moving_average_decay: float | None
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    trust_model_code: bool
    export_dir: Text | None
    formats: Text
    precision: Text
    calibrate: bool
    output_file: Text | None
    check_images: Text | None
    num_check_images: int
    representative_images: Text | None
    num_representative_images: int
    check_accuracy: Text | None
    max_accuracy_drop: float
    batch_size: int | None
    is_training: bool
    write_text_graphdef: bool
    default_image_size: int
    quantize: bool
    is_video_model: bool
    num_frames: int | None


class RetrainFlags(TypedDict, total=False):
    """Flags of retrain."""

    testing_percentage: int
    validation_percentage: int
    features: Text | None
    tfhub_module: Text
    model_name: Text | None
    checkpoint_path: Text | None
    preprocessing_name: Text | None
    image_size: int | None
    average_flip: bool
    precision: Text
    scaled_decoding: Text
    bottleneck_dir: Text
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    trust_model_code: bool
    how_many_training_steps: int
    learning_rate: float
    weight_decay: float | None
    train_batch_size: int
    validation_batch_size: int
    test_batch_size: int
    eval_step_interval: int
    seed: int | None
    flip_left_right: bool
    random_crop: int
    random_scale: int
    random_brightness: int
    output_graph: Text
    output_labels: Text
    final_tensor_name: Text
    saved_model_dir: Text | None
    summaries_dir: Text
    intermediate_output_graphs_dir: Text
    intermediate_store_frequency: int
    print_misclassified_test_images: bool
    logging_verbosity: Text
    spark_master: Text | None
    spark_remote: Text | None
    spark_conf: Text | None


class ExtractFlags(TypedDict, total=False):
    """Flags of extract_features."""

    image_dir: Text | None
    testing_percentage: int
    validation_percentage: int
    image_list: Text | None
    dataset_dir: Text | None
    data_dir: Text | None
    dataset_name: Text | None
    model_name: Text | None
    checkpoint_path: Text | None
    train_dir: Text | None
    preprocessing_name: Text | None
    tfhub_module: Text | None
    graph: Text | None
    saved_model_dir: Text | None
    input_layer: Text | None
    input_mean: float | None
    input_std: float | None
    image_size: int | None
    end_points: Text | None
    pooling: Text
    average_flip: bool
    precision: Text
    scaled_decoding: Text
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    trust_model_code: bool
    images_per_file: int | None
    overwrite: bool
    spark_master: Text | None
    spark_remote: Text | None
    spark_conf: Text | None


class ClassifyFlags(TypedDict, total=False):
    """Flags of classify_images."""

    image_dir: Text | None
    testing_percentage: int
    validation_percentage: int
    image_list: Text | None
    dataset_dir: Text | None
    data_dir: Text | None
    dataset_name: Text | None
    graph: Text | None
    saved_model_dir: Text | None
    train_dir: Text | None
    output_dir: Text | None
    checkpoint_path: Text | None
    labels: Text | None
    input_layer: Text | None
    output_layer: Text | None
    input_height: int | None
    input_width: int | None
    input_mean: float | None
    input_std: float | None
    scaled_decoding: Text | None
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    trust_model_code: bool
    csv_file: Text | None
    top: int
    images_per_file: int | None
    overwrite: bool
    spark_master: Text | None
    spark_remote: Text | None
    spark_conf: Text | None


class LoadFlags(TypedDict, total=False):
    """Flags of label_image."""

    input_layer: Text | None
    output_layer: Text | None
    input_height: int | None
    input_width: int | None
    input_mean: float | None
    input_std: float | None
    scaled_decoding: Text | None
    model_file: Text | None
    model_module: Text | None
    arg_scope: Text | None
    model_args: Text | None
    preprocessing_file: Text | None
    trust_model_code: bool
