"""Changes the rules of promotion one small step at a time, and expects the tests to notice each."""
