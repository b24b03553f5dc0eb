"""Data that stays where it is: listed, watched and read, never believed."""
