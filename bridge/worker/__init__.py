"""One worker process: what it holds, what it says to Postgres, and how it is kept running."""
