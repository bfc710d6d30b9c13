"""What a data set is and what is wrong with it, found without TensorFlow: record files and class folders."""
