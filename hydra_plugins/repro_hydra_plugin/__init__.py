"""What Hydra discovers of repro_hydra: config groups, a launcher, a guard. Imported by every Hydra program here."""
