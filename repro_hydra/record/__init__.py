"""The record: plain data on disk. No Hydra and no torch below this line."""
