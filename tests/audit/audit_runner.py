"""Run scripts under the audit, in this process, one after the other; print what it found as JSON."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import sys
from pathlib import Path


def run(path: Path, seed: int) -> list[dict[str, object]]:
    from omegaconf import OmegaConf

    from repro_hydra.audit import SeedingAudit
    from repro_hydra.imports import LateImports, is_imported
    from repro_hydra.seed import seed_everything

    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    before = held()
    late = LateImports()
    late.install()
    audit = SeedingAudit(late.when_imported, str(path.parent))
    audit.enter(is_unrecorded=lambda name, _value: name == "FAULT_SCALE")
    seed_everything(seed)
    audit.began([seed])
    try:
        module.task(OmegaConf.create({"seed": seed}))
        found = audit.findings()
    finally:
        audit.stop()
        late.remove()
        del sys.modules[module.__name__]
    if is_imported("numpy") and before:
        assert held() == before, "a patch was left behind"
    return [
        {"id": f.id, "severity": f.severity, "file": f.file, "line": f.line, "message": f.message}
        for f in found
    ]


def held() -> list[int]:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    names: list[object] = [random.Random.seed, random.Random.setstate, os.urandom, random._urandom]
    if numpy is not None:
        names += [numpy.random.bit_generator.randbits.__func__, numpy.random.mtrand._MT19937]
    if torch is not None:
        names += [torch.Generator, torch.manual_seed, torch.seed, torch.cuda.manual_seed_all]
    return [id(name) for name in names] if numpy is not None else []


if __name__ == "__main__":
    folder, seed, *names = sys.argv[1:]
    sys.path.insert(0, folder)
    print(json.dumps({name: run(Path(folder) / f"case_{name}.py", int(seed)) for name in names}))
