"""What on this machine and in this project stands in the way of reproducibility, and how to mend each."""

from repro_hydra.doctor.examine import examine as examine
