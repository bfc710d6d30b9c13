"""Which images are the same: by their bytes, their pixels, or a perceptual hash. No TensorFlow."""
