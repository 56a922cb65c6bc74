"""A training step as data: torch's own autograd engine run on stand-ins whose sizes are formulas."""
