"""The doctor's questions."""
