"""Reads the file that W&B writes offline, by W&B's own message definitions.

Its Python reader went with wandb 0.2x; the frame around the messages is LevelDB's log: blocks of 32 KiB, each fragment
after a checksum (4 bytes), its length (2) and its kind (1: whole, 2: first, 3: middle, 4: last).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEAD = 32 * 1024, 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def messages(path: Path) -> Iterator[bytes]:
    """The messages in their order; a frame that is torn fails."""
    data = path.read_bytes()
    assert data[:4] == b":W&B", data[:8]
    place, parts = HEAD, []
    while place + HEAD <= len(data):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK  # nothing begins in a block's last bytes
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        if kind == 0:
            return
        place += HEAD
        parts.append(data[place : place + length])
        assert len(parts[-1]) == length
        place += length
        if kind in (WHOLE, LAST):
            yield b"".join(parts)
            parts = []
    assert not parts


def read(path: Path) -> dict[str, Any]:
    """``run_id, group, config, metrics {name: [(step, value)]}, summary, exit_code`` of a run."""
    from wandb.proto import wandb_internal_pb2 as proto

    found: dict[str, Any] = {"config": {}, "metrics": {}, "summary": {}}
    for message in messages(path):
        record = proto.Record.FromString(message)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found |= {"run_id": record.run.run_id, "group": record.run.run_group}
            found["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            values = {
                item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item
            }
            for name, value in values.items():
                if name not in ("_step", "_timestamp", "_runtime"):
                    found["metrics"].setdefault(name, []).append((values["_step"], value))
        elif kind == "summary":
            items = record.summary.update
            found["summary"] |= {
                item.key or item.nested_key[0]: json.loads(item.value_json) for item in items
            }
        elif kind == "exit":
            found["exit_code"] = record.exit.exit_code
    return found
