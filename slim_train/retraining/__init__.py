"""A new last layer on a net that is already trained: TF-Hub's retrain script, with its flags and its files."""
