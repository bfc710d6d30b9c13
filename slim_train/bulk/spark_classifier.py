"""A linear classifier by Spark ML on features in Parquet files. No TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deployment.spark.session import first_line
from slim_train.bulk.parquet import part_files
from slim_train.errors import RunError
from slim_train.retraining.head import HeadWeights

log = logging.getLogger(__name__)

_ITERATIONS = 100


def train_classifier(
    session: Any,
    folder: Path,
    column: str,
    images: Sequence[tuple[str, int]],
    num_classes: int,
    choose: Callable[[Callable[[float], HeadWeights]], HeadWeights],
) -> HeadWeights:
    """Return the weights of a multinomial logistic regression.

    Args:
      session: of Spark.
      folder: with the Parquet files.
      column: of the vectors.
      images: path and label of each image to train on.
      num_classes: width of the logits.
      choose: calls the function that it gets with one or several L2 penalties; returns the best of the weights.

    Raises:
      RunError: Spark failed.
    """
    import pandas
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions

    try:
        wanted = session.createDataFrame(pandas.DataFrame(images, columns=["path", "of_class"]))
        stored = session.read.parquet(*(path.absolute().as_uri() for path in part_files(folder)))
        vectors = array_to_vector(functions.col(f"`{column}`").cast("array<double>"))
        rows = (
            stored.where(functions.col("error").isNull())
            .select("path", vectors.alias("vector"))
            .join(wanted, "path")
            .select("vector", functions.col("of_class").cast("double").alias("of_class"))
            .persist()
        )

        def fit(penalty: float) -> HeadWeights:
            model = LogisticRegression(
                featuresCol="vector",
                labelCol="of_class",
                family="multinomial",
                maxIter=_ITERATIONS,
                regParam=penalty,
                standardization=False,
            ).fit(rows)
            weights, biases = model.coefficientMatrix.toArray(), model.interceptVector.toArray()
            assert weights.shape[0] == num_classes, weights.shape
            return HeadWeights(weights.T.astype(np.float32), biases.astype(np.float32))

        try:
            return choose(fit)
        finally:
            rows.unpersist()
    except Exception as error:
        # Of Py4J, gRPC or Spark: they have no common base.
        log.debug("Spark ML failed:", exc_info=True)
        raise RunError(f"Training by Spark ML failed: {first_line(error)}") from error
