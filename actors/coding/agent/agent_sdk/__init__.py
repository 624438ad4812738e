"""Claude Code, by way of `claude-agent-sdk`, as what asks the model. Imported when the first session runs."""
