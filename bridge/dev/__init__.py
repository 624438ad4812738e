"""For development only: `mobvibe up`, and embedded stores, whose servers come from Python wheels."""
