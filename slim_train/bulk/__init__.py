"""Jobs over any number of images, in this process or on a cluster."""
