"""The worker process, `mobvibe worker` or `dramatiq actors`: takes messages, runs actors, reports."""
