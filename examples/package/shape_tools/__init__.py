"""Extensions of slim-train; see pyproject.toml for their names."""
