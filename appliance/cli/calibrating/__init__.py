"""What ``breathhold calibrate`` does, and how it shows it."""
