"""What the user gives: input specifications, and what the model holds."""
