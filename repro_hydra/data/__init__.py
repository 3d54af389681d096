"""Datasets: their digest, their versions, and what a run records of them.

The digest is defined in ``docs/data-digest.md``.
"""

from repro_hydra.data.cache import StatCache as StatCache
from repro_hydra.data.capture import capture_data as capture_data
from repro_hydra.data.capture import changed_meanwhile as changed_meanwhile
from repro_hydra.data.capture import register_data as register_data
from repro_hydra.data.describe import describe_dataset as describe_dataset
from repro_hydra.data.errors import DataError as DataError
from repro_hydra.data.errors import DataMisuse as DataMisuse
from repro_hydra.data.project import dataset_path as dataset_path
from repro_hydra.data.project import find_project as find_project
from repro_hydra.data.registry import Registry as Registry
from repro_hydra.data.scan import Options as Options
from repro_hydra.data.scan import Scan as Scan
from repro_hydra.data.scan import scan as scan
from repro_hydra.data.verifying import data_verify as data_verify
from repro_hydra.data.versions import data_add as data_add
from repro_hydra.data.versions import data_diff as data_diff
from repro_hydra.data.versions import data_list as data_list
from repro_hydra.data.versions import data_show as data_show
from repro_hydra.data.versions import document as document
