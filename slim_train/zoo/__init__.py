"""The model zoo: its listing and its released weights."""
