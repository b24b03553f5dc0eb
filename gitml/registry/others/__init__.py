"""Other registries, read without a clone."""
