"""How long a worker process may take to stop, in seconds beyond the grace time of its jobs, and who waits how long."""

# Dramatiq, for its threads: 1.5 s for interrupted actors, 5 s for the last reports (process.py), and the rest for them.
THREADS_SECONDS = 8.0
# The supervisor, for a Dramatiq that has to notice first that its worker process has ended.
PROCESS_SECONDS = 2 * THREADS_SECONDS
# A process without a parent, after which it ends, whatever it still does: longer than the supervisor waits, so that
# this never cuts off a process that stops in the usual way.
ORPHAN_SECONDS = 20.0
