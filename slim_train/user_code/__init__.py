"""Nets, preprocessing and data sets in files of users: loading, TensorFlow 1's interface for them, copies."""
