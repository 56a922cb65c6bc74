"""Training steps that are held to real ones: models, ways to train them, and what a real step holds."""
