"""Serving models by UAI's conf.json files."""
