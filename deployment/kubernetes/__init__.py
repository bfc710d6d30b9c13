"""Training as a Kubernetes job."""
