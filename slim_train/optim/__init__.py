"""Optimization: losses, gradients, optimizers, learning rates and the schedule."""
