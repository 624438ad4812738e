"""The tools of the agent: what the model can call. Each works through the sandbox alone."""
