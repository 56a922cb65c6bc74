"""What is known of data without inputs or weights: constants, tensors of one number, small tables of sizes."""
