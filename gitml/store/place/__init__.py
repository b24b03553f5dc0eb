"""Trees in folders of a work tree: what would be written, writing it, and what is still as it was."""
