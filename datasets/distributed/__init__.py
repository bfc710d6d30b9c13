"""Conversion of class folders by many machines that share a file system: the same files as on one machine."""
