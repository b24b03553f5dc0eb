"""Bytes and branches, between this clone and the others."""
