"""Data sets: readers of standard formats, splits, order, loaders and transforms."""
