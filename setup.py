"""Packaging of slim-train. The tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent

COMMANDS = (
    "download_and_convert_data",
    "inspect_dataset",
    "inspect_checkpoint",
    "train_image_classifier",
    "eval_image_classifier",
    "compare_runs",
    "serve_image_classifier",
    "export_inference_graph",
    "retrain",
    "label_image",
    "extract_features",
    "classify_images",
    "launch_cluster",
    "render_tfjob",
    "render_job",
    "show_augmentations",
    "slim_models",
)

REQUIRED = (
    "absl-py>=2.0",
    "google-crc32c>=1.5",
    "grpcio>=1.50",
    "h5py>=3.10",
    "numpy>=1.26",
    "pillow>=10.1",
    "pyyaml>=6.0.1",
    "rich>=13.0",
    "tensorboard>=2.16",
    "tensorflow>=2.16,<2.22",
    # Each tf-keras 2.N requires tensorflow 2.N, so pip always installs a matching pair.
    "tf-keras>=2.16,<2.22",
    "tf-slim>=1.1",
)

EXTRAS = {
    "delta": ("deltalake>=1.0", "pyarrow>=15.0"),
    "demo": ("scikit-learn>=1.4",),
    "gcs": ("gcsfs>=2024.2",),
    "gpu": ("tensorflow[and-cuda]>=2.16,<2.22",),
    "grpc": ("grpcio-health-checking>=1.50", "tensorflow-serving-api>=2.16,<2.22"),
    "heif": ("pillow-heif>=0.16",),
    "hub": ("tensorflow-hub>=0.16",),
    "inspect": ("ImageHash>=4.3",),
    "mlflow": ("mlflow-skinny>=2.14",),
    # onnx 1.19.0 does not import beside the ml-dtypes of TensorFlow 2.16 and 2.17.
    "onnx": ("onnx>=1.16,!=1.19.0", "onnxruntime>=1.17", "tf2onnx>=1.17"),
    "parquet": ("pyarrow>=15.0",),
    "plots": ("matplotlib>=3.8",),
    "serve": (
        "fastapi>=0.110",
        "httptools>=0.6",
        "prometheus-client>=0.20",
        "python-multipart>=0.0.9",
        "uvicorn>=0.29",
        "uvloop>=0.19",
    ),
    "s3": ("s3fs>=2024.2",),
    "spark": ("pandas>=2.1", "pyarrow>=15.0", "pyspark>=3.5"),
    # Written and read with NumPy: PyTorch is not needed.
    "torch": ("safetensors>=0.4",),
    "triton": ("tritonclient[grpc]>=2.41",),
    # Linters are held to one release: a newer one may find fault with code that has not changed.
    "dev": (
        "ImageHash>=4.3",
        "flask>=3.0",
        "flask-cors>=4.0",
        "gcp-storage-emulator>=2026.7",
        "grpcio-health-checking>=1.50",
        "httpx>=0.27",
        "ipykernel>=6.29",
        "kubeflow-training>=1.9",
        "kubernetes>=27.2",
        "moto[s3]>=5.0",
        "mypy~=2.4.0",
        "nbclient>=0.10",
        "nbformat>=5.10",
        "pyarrow>=15.0",
        "pytest>=8.0",
        "pytest-xdist>=3.5",
        "ruff~=0.17.0",
        "s3fs>=2024.2",
        "safetensors>=0.4",
        "tensorflow-serving-api>=2.16,<2.22",
        "types-PyYAML",
    ),
}


def version() -> str:
    """The version that slim_train states, read without importing it: its requirements are not installed yet."""
    source = (HERE / "slim_train" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert found, "slim_train/__init__.py states no __version__"
    return found[1]


class BuildWithRecipes(build_py):
    """Puts ``configs/`` into the package, where ``--config=NAME`` finds it. A checkout needs no copy."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            self.copy_tree(str(HERE / "configs"), str(Path(self.build_lib) / "slim_train" / "configs"))


setup(
    name="slim-train",
    version=version(),
    description="Train, fine-tune and evaluate TF-Slim image classifiers on today's TensorFlow.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    python_requires=">=3.10,<3.14",
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    packages=find_packages(include=["slim_train*", "datasets*", "deployment*"]),
    # Named although it is the default: an editable install then puts this folder on the path, so that new modules,
    # type checkers and editors need nothing more.
    package_dir={"": "."},
    package_data={
        "slim_train": ["py.typed"],
        "slim_train.serving": ["page/*"],
        "deployment.kubernetes": ["training.yaml"],
        "deployment.slurm": ["train.sbatch"],
    },
    cmdclass={"build_py": BuildWithRecipes},
    entry_points={"console_scripts": [f"{name} = slim_train.cli.{name}:main" for name in COMMANDS]},
)
