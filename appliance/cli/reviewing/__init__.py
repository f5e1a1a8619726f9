"""Masks to an annotator and back, and what is refined from them."""
