"""Session hooks: what happens beside the steps of the training loop. ``of_task`` chooses those of a task."""
