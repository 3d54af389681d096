"""Fingerprints: digests of what a training consists of, step by step, so that two runs show where they part.

A step is one call of an optimizer's ``step``. `steps` takes them from torch, `pieces` chooses what of large tensors is
read at which step, `digest` and `device` make digests of values in the host's memory and in a device's, `log` writes
the lines. Nothing here is imported by a run that takes none.
"""
