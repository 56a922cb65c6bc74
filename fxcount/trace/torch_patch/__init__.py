"""What torch looks like while a model is traced, and how it is put back."""
