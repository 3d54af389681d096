import torch


def prepare():
    torch.set_default_dtype(torch.float64)
