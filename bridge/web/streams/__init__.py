"""Answers that do not end: server-sent events, held on the event loop."""
