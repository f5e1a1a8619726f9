"""The wire contract of Breathhold and its generated stubs."""
