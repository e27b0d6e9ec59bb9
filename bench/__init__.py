"""Speed as ratios: ours and a peer or a bare loop, measured in one run."""
