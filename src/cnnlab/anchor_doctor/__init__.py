"""Whether a head's anchors meet the boxes of a data set, and which would do better."""
