"""Inference: trained and exported models, loaded and ready to answer."""
