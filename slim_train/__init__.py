"""Train, fine-tune, evaluate, export and serve TF-Slim image classifiers on today's TensorFlow."""

__version__ = "0.1.0"
