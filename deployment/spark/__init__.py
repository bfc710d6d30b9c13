"""Spark: a session, and the Java that it needs."""
