"""The fault campaign: real processes, real stores, faults at random, and a checker that believes only the records."""
