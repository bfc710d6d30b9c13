"""Networks: one file per family that tf_slim.nets lacks, one record per model in factory.py."""
