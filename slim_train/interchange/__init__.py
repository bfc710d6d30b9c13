"""Weights and architectures of other frameworks."""
