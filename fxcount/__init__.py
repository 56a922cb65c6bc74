"""fxcount."""
