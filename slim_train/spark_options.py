"""Where work on many images runs: in this process, or on a Spark cluster. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from slim_train.config import Options, option
from slim_train.errors import UsageError


@dataclass(frozen=True)
class SparkOptions(Options):
    """Spark. Without these flags the work runs in this process."""

    spark_master: str | None = option(
        None,
        "Master of the Spark cluster: local[2], spark://host:7077, yarn or k8s://... Requires the extra [spark].",
        is_address=True,
    )
    spark_remote: str | None = option(None, "Spark Connect server, for example sc://host:15002.", is_address=True)
    spark_conf: str | None = option(
        None,
        "Spark settings, for example spark.executor.memory=4g,spark.task.cpus=2. Comma-separated.",
        is_address=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spark_master and self.spark_remote:
            raise UsageError("--spark_master and --spark_remote cannot be combined: one session has one of them.")
        self.settings()

    @property
    def uses_spark(self) -> bool:
        """Whether a master or a server is named."""
        return bool(self.spark_master or self.spark_remote)

    @property
    def runs_on_spark(self) -> bool:
        """Whether the work runs on Spark: a cluster is named, or spark-submit has started this process."""
        from deployment.spark.session import under_spark_submit  # not at the top: commands check first that it is ours

        return self.uses_spark or under_spark_submit()

    @property
    def where(self) -> str:
        """The cluster, at the start of messages."""
        if self.spark_master:
            return f"--spark_master={self.spark_master}"
        return f"--spark_remote={self.spark_remote}" if self.spark_remote else "The session"

    def settings(self) -> dict[str, str]:
        """Return ``spark_conf`` by key.

        Raises:
          UsageError: a part is not ``key=value``.
        """
        settings: dict[str, str] = {}
        key = ""
        for part in (self.spark_conf or "").split(","):
            if not part.strip():
                continue
            name, equals, value = part.partition("=")
            if not equals and key:  # a comma of the value
                settings[key] += f",{part}"
                continue
            key = name.strip()
            if not equals or not key:
                raise UsageError(f"--spark_conf={self.spark_conf}: {part!r} is not key=value.")
            settings[key] = value.strip()
        return settings
