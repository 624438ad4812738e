"""The web process: health, statistics, the sessions API and the start page."""
