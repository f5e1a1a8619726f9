"""Measuring the marks of poor image quality, by making them."""
