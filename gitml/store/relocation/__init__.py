"""Another layout for a tree that keeps its identity, while others write and collect."""
