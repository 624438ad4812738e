"""The agents: each works on a turn until it is finished, asks, or has used up its budget."""
