"""`check`: a command run several times under conditions that must not matter, and the cause where it differs."""
