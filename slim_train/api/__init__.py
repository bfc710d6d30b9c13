"""The front door: each verb as a Python function whose keyword arguments are the flags of its command."""
