"""Input: TFRecord files to batches."""
