"""What a run stands on: interpreter, packages, machine, variables.

Imports neither torch nor any other heavy library; where torch is already imported, it is asked.
"""

from repro_hydra.environment.capture import capture_environment as capture_environment
from repro_hydra.environment.distributions import digest_distributions as digest_distributions
from repro_hydra.environment.distributions import list_distributions as list_distributions
