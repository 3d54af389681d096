"""What is done with the runs of a sweep, and with those of several: the aggregate over seeds, and its table."""
