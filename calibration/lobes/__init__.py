"""Lobes: labels by registration of a template, phantoms, and how good a lobes model is."""
