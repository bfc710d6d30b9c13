"""What data is: data set specifications, converters and TFRecord files. Imports nothing of slim_train."""
