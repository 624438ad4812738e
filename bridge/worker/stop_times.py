"""How long a worker process may take to stop, in seconds after the grace time of its jobs, at each level."""

# Dramatiq waits this long for its threads: 1.5 s for interrupted actors, 5 s for the last reports (process.py), and the
# rest for the threads themselves.
THREADS_SECONDS = 8.0
# The supervisor waits this long for Dramatiq, which has to notice first that its worker process has ended.
PROCESS_SECONDS = 2 * THREADS_SECONDS
# A process whose parent has died is killed after this. Longer than the supervisor waits, so that no process is killed
# that stops in the usual way.
ORPHAN_SECONDS = 20.0
