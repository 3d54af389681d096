"""Which code a run ran: found out without touching the repository, then kept as a commit of its own.

`inspect_code` only reads, so that a run which is refused has left nothing; `snapshot_code` keeps what it saw.
"""

from repro_hydra.code.inspection import inspect_code as inspect_code
from repro_hydra.code.snapshot import SnapshotError as SnapshotError
from repro_hydra.code.snapshot import snapshot_code as snapshot_code
from repro_hydra.code.state import CodeState as CodeState
