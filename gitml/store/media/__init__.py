"""Where objects are kept: the contract of a medium, and every place that keeps it."""
