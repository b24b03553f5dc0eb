"""Requests: how a change of a stage is proposed, reviewed and recorded."""
