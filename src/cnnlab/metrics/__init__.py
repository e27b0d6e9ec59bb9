"""What an evaluation measures: one file a task, exact over any number of processes."""
