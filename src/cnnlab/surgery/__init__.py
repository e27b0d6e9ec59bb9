"""Rewrites of a trained net that keep its function."""
