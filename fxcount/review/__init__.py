"""What changed between two reports, and whether a model keeps to its budget: the questions of a code review."""
