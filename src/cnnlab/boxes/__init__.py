"""Boxes as pure tensor functions: corners x1, y1, x2, y2 in pixels, flat over the batch."""
