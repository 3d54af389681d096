"""Hydra's door for sweeps: every job in a fresh process that has the right environment from its start."""
