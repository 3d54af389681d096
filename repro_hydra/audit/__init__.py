"""The seeding audit: who makes generators without a seed, seeds again, or asks the clock and the system."""

from repro_hydra.audit.watch import SeedingAudit as SeedingAudit
