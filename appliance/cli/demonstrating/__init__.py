"""The demo and its private daemon."""
