"""What all op families stand on: facts, the registry, broadcasting, strides, counts of scalar operations."""
