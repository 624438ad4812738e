"""Claude as the model of a turn, over `anthropic`, which is imported when the first session runs."""
