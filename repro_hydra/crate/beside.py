"""What an export has beside the records and the code: environment, data by digest, the program to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from repro_hydra.code.facts import Location
from repro_hydra.crate.code import ExportedTree
from repro_hydra.crate.identity import Identity
from repro_hydra.data.registry import FOLDER as DATA_FOLDER
from repro_hydra.environment.exports import FILE_NAMES, FORMATS, CannotExport, Subject, render
from repro_hydra.environment.pins import pins_of
from repro_hydra.record.lock import LOCK_NAME, EnvironmentLock
from repro_hydra.record.schema import JSON
from repro_hydra.record.store import encode, write_bytes
from repro_hydra.reproduce.command import command_of
from repro_hydra.reproduce.original import Original


class Beside:
    """Writes into the export at `folder`.

    Parameters
    ----------
    identity : Identity or None
        Who is not to be named in it; None where anybody may be.
    """

    def __init__(self, folder: Path, identity: Identity | None) -> None:
        self.folder = folder
        self.identity = identity

    def put(self, name: str, value: object) -> None:
        """Write a document, without what tells who made it where that is to be left out."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.identity is not None:
            value = self.identity.value(msgspec.to_builtins(value))
        write_bytes(path, encode(value))

    def write_environment(self, exported: Sequence[Original]) -> dict[str, str]:
        """The environment of the first run that recorded one: as a lock, and in the formats of installers."""
        found = next((item for item in exported if item.environment is not None), None)
        if found is None or found.environment is None:
            return {}
        environment = msgspec.structs.replace(
            found.environment, distributions=found.distributions, distributions_in=None
        )
        described = {f"environment/{LOCK_NAME}": "The environment of the runs: repro-hydra env verify."}
        self.put(
            f"environment/{LOCK_NAME}", EnvironmentLock(made_at=found.run.created_at, environment=environment)
        )
        command = command_of(found, {})
        repository = found.code.repository if found.code is not None else None
        subject = Subject(
            environment=environment,
            pins=pins_of(found.distributions or [], project=Path(repository) if repository else None),
            project=Path(repository) if repository else None,
            requirements="environment/requirements.txt",
            command=("python", *command.program, *command.arguments) if command.program else (),
            variables={
                name: value
                for name, value in environment.variables.items()
                if name.endswith("_NUM_THREADS") or name in ("PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG")
            },
        )
        for form in FORMATS:
            try:
                text = render(form, subject).text
            except CannotExport:
                continue  # a pylock.toml needs hashes, and what is installed has none
            name = f"environment/{FILE_NAMES[form]}"
            write_bytes(self.folder / name, text.encode())
            described[name] = f"The environment of the runs, for {form}."
        return described

    def write_data(self, exported: Sequence[Original], here: Sequence[Location]) -> dict[str, str]:
        """What the runs read, by name and digest, and the lists of files that the repositories `here` have."""
        datasets: dict[tuple[str, str], JSON] = {}
        inputs: dict[str, JSON] = {}
        for run in exported:
            if run.data is None:
                continue
            for dataset in run.data.datasets:
                datasets[dataset.path, dataset.digest] = msgspec.to_builtins(dataset)
            for item in run.data.inputs:
                inputs[item.path] = msgspec.to_builtins(item)
        self.put(
            "data/datasets.json",
            {"schema": "1.0", "datasets": list(datasets.values()), "undeclared": list(inputs.values())},
        )
        described = {"data/datasets.json": "The data that the runs read, with digests; not the data itself."}
        for _, digest in datasets:
            for location in here:
                manifest = location.top / DATA_FOLDER / "manifests" / f"{digest}.jsonl"
                if manifest.is_file():
                    data = manifest.read_bytes()
                    if self.identity is not None:
                        data = self.identity.text(data.decode("utf-8", "replace")).encode()
                    name = f"data/{digest}.jsonl"
                    write_bytes(self.folder / name, data)
                    described[name] = "The files of a dataset, with digests."
                    break
        return described

    def write_workflow(self, exported: Original, environ: Mapping[str, str]) -> str:
        """The program itself, for those who only want to read it."""
        command = command_of(exported, {})
        target = command.program[-1] if command.program and "-m" not in command.program else None
        text = f"# {command.shown()}\n".encode()
        name = "workflow/run.py"
        if target is not None and exported.code is not None:
            tree = ExportedTree(exported.code, exported.code_files, (), environ)
            try:
                text = dict(tree.files()).get(Path(target).as_posix(), text)
            finally:
                tree.close()
            name = f"workflow/{Path(target).name}"
        if self.identity is not None:
            text = self.identity.text(text.decode("utf-8", "replace")).encode()
        (self.folder / "workflow").mkdir()
        write_bytes(self.folder / name, text)
        return name
