"""The settings that make equal seeds give equal bits: asked for, put in force, and probed."""

from repro_hydra.determinism.context import Determinism as Determinism
from repro_hydra.determinism.context import deterministic as deterministic
from repro_hydra.determinism.interpreter import initial_environment as initial_environment
from repro_hydra.determinism.interpreter import required_variables as required_variables
from repro_hydra.determinism.interpreter import restart as restart
from repro_hydra.determinism.interpreter import restarted_already as restarted_already
from repro_hydra.determinism.interpreter import variables_not_in_force as variables_not_in_force
from repro_hydra.determinism.setting import Setting as Setting
from repro_hydra.determinism.settings import SETTINGS as SETTINGS
from repro_hydra.determinism.watch import DeterminismRecord as DeterminismRecord
from repro_hydra.determinism.watch import SettingRecord as SettingRecord
from repro_hydra.determinism.watch import SettingsWatch as SettingsWatch
