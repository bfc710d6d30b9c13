"""The HTTP service: an exported or trained classifier, or a user's own class, behind three protocols and a page."""
