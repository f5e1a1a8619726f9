"""The command `breathhold`: one module a verb."""
