"""Arbitrary bytes into every reader of the appliance (`make fuzz`)."""
