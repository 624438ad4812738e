"""The kill storm: coding sessions whose workers are killed and frozen, and a checker of what was stored."""
