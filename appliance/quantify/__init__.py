"""Masks and HU to scores: one function a formula, its source in the docstring. Pure."""
