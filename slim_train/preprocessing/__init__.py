"""Preprocessing recipes: one file each, and the factory that names them."""
