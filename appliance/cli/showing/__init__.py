"""What the appliance says, as tables for people and JSON for programs."""
