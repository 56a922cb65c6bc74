"""Gradients, as ATen names them in graphs of a training step: of functions and losses, of layers, of spatial ops."""
