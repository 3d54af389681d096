"""A library that needs doubles, and leaves them behind for whoever comes next."""

import torch


def smooth(values):
    torch.set_default_dtype(torch.float64)
    return values.double().cumsum(0) / len(values)
