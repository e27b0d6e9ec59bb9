"""Ablations: arms at equal cost, run together."""
