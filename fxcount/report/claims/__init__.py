"""What frameworks claim a language model costs, each term beside the exact one."""
