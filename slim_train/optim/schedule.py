"""How long training lasts: batches, clones and replicas turned into steps. No TensorFlow."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Everything in a training run that is counted in steps.

    A step is one of the global step: the variables change once. Asynchronous replicas each make steps of their own,
    from ``batch_size * num_clones * gradient_accumulation_steps`` images; synchronous ones make one together, from
    ``replicas_to_aggregate`` times as many.

    Attributes:
      num_samples: images of the data set.
      batch_size: images in a batch of a clone.
      num_clones: clones per replica.
      gradient_accumulation_steps: batches of each clone in a step.
      num_replicas: processes that train.
      replicas_to_aggregate: gradients per synchronous step; ``num_replicas`` for all-reduce, fewer with backup workers.
      sync_replicas: whether replicas make their steps together.
      num_epochs: passes over the data after which training ends; None sets no such end.
      max_number_of_steps: global step at which training ends; None sets no such end. The earlier end counts.
      num_epochs_per_decay: epochs between decays of the learning rate; None if it does not fall by epochs.
      warmup_steps: steps over which the learning rate first climbs.

    Raises:
      ValueError: a number is out of range; the message names it.
    """

    num_samples: int
    batch_size: int
    num_clones: int = 1
    num_replicas: int = 1
    replicas_to_aggregate: int = 1
    sync_replicas: bool = False
    num_epochs: float | None = None
    max_number_of_steps: int | None = None
    num_epochs_per_decay: float | None = None
    warmup_steps: int = 0
    gradient_accumulation_steps: int = 1

    def __post_init__(self) -> None:
        counts = ("num_samples", "batch_size", "num_clones", "num_replicas", "replicas_to_aggregate")
        for name in (*counts, "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("num_epochs", "num_epochs_per_decay"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        for name in ("max_number_of_steps", "warmup_steps"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")

    @property
    def is_asynchronous(self) -> bool:
        """Whether several replicas make steps of their own."""
        return self.num_replicas > 1 and not self.sync_replicas

    @property
    def images_per_step(self) -> int:
        """Images whose gradients enter one global step."""
        images_of_replica = self.batch_size * self.num_clones * self.gradient_accumulation_steps
        return images_of_replica * (self.replicas_to_aggregate if self.sync_replicas else 1)

    @property
    def steps_per_epoch(self) -> float:
        """Global steps in which as many images are seen as the data set has; not always a whole number."""
        return self.num_samples / self.images_per_step

    @property
    def decay_steps(self) -> int | None:
        """Global steps between decays of the learning rate, rounded down as in research/slim; None without decays."""
        if self.num_epochs_per_decay is None:
            return None
        return max(1, math.floor(self._steps(self.num_epochs_per_decay)))

    @property
    def last_step(self) -> int | None:
        """Global step at which training ends, every epoch being complete; None if it does not end by itself."""
        ends = [] if self.max_number_of_steps is None else [self.max_number_of_steps]
        if self.num_epochs is not None:
            ends.append(math.ceil(self._steps(self.num_epochs)))
        return min(ends, default=None)

    def describe(self) -> str:
        """One line for the log: ``72.25 steps per epoch (2,312 images / 32), decays every 144 steps, stops at 362``."""
        factors = f"{self.batch_size:,}"
        if self.num_clones > 1:
            factors += f" x {self.num_clones} clones"
        if self.gradient_accumulation_steps > 1:
            factors += f" x {self.gradient_accumulation_steps} accumulated"
        if self.sync_replicas:
            factors += f" x {self.replicas_to_aggregate} replicas"
        parts = [f"{self.steps_per_epoch:,.2f}".removesuffix(".00")]
        parts[0] += f" steps per epoch ({self.num_samples:,} images / {factors})"
        if self.warmup_steps:
            parts.append(f"warms up over {self.warmup_steps:,} steps")
        if self.decay_steps is not None:
            parts.append(f"decays every {self.decay_steps:,} steps")
        parts.append("does not stop by itself" if self.last_step is None else f"stops at {self.last_step:,}")
        return ", ".join(parts)

    def _steps(self, num_epochs: float) -> Fraction:
        """Exact, from the digits that the user wrote: 1.1 epochs of 100 images are 110, not 110.00000000000001."""
        return Fraction(str(num_epochs)) * self.num_samples / self.images_per_step
