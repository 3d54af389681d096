"""Checkpoints: everything that a training loop needs to go on with the same bits. Nothing here imports torch early."""
