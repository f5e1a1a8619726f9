"""The course of a patient: whose scan it is, which scan came before, what has changed."""
