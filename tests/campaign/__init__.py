"""The fault campaign: real processes, real stores, random faults, and a checker that relies only on the records."""
