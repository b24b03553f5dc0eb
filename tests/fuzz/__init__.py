"""Gives the readers of foreign bytes what nobody would write."""
