"""Evaluation: metrics of checkpoints over a split, and the files that report them."""
