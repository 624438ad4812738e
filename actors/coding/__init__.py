"""Coding sessions: an agent works on a user's project, one job for each turn of the conversation."""
