"""Training as a Slurm job."""
