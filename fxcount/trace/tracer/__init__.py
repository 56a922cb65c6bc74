"""The tracer: records each op a model calls on stand-in tensors."""
