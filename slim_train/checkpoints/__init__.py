"""Checkpoints and training folders: found, restored, kept."""
