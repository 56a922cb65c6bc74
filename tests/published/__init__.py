"""Numbers that others have published, copied into tests/data, beside fxcount's."""
