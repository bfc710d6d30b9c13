"""Where things run: clusters, devices and clones. Imports nothing of slim_train or datasets."""
