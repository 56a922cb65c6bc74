"""What fxcount finds as one kind of JSON, and back: reports, training steps, curves, pieces, comparisons, generations."""
