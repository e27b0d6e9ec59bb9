"""Ablations: what is run, at which cost, and how it is kept going."""
