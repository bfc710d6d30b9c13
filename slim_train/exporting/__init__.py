"""Export: a trained net as files that other programs load."""
