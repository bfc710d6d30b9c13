"""Training: the story from options to a training folder, and everything that only training needs."""
