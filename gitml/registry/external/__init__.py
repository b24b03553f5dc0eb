"""Versions whose data stays where it is."""
