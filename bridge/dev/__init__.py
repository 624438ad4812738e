"""For development only: `mobvibe up`, and stores from wheels."""
