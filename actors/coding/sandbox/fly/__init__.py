"""Sandboxes in machines of Fly: one machine with one volume for each session."""
