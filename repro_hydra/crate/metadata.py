"""``ro-crate-metadata.json``: what the export holds in the words of the Workflow Run RO-Crate profiles.

Source: Leo et al., "Recording provenance of workflow runs with RO-Crate", PLOS ONE 2024; profiles Process Run Crate
0.5, Workflow Run Crate 0.5 and Workflow RO-Crate 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro_hydra.record.export import ExportRecord
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.reproduce.original import Original

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_STATUS = {"completed": "CompletedActionStatus", "running": "ActiveActionStatus"}
_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".txt": "text/plain",
    ".log": "text/plain",
    ".yml": "application/yaml",
    ".yaml": "application/yaml",
    ".csv": "text/csv",
    ".png": "image/png",
    ".toml": "application/toml",
}


def write_metadata(
    folder: Path,
    record: ExportRecord,
    originals: Sequence[Original],
    *,
    workflow: str,
    title: str,
    described: Mapping[str, str],
) -> None:
    """Write it into the export's `folder`, whose files are all there.

    Parameters
    ----------
    originals : sequence of Original
        The runs as they lie in the export.
    workflow : str
        The program that was run, relative to `folder`.
    described : mapping
        Path to description, of the files that are not a run's own.
    """
    from rocrate.model.softwareapplication import SoftwareApplication
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.name = title
    crate.description = (
        f"{len(originals)} recorded run(s) with code, environment, data manifest and results. To run again: "
        "repro-hydra reproduce THIS"
    )
    crate.license = "Not stated by the export; the code's own license holds."
    tool = crate.add(
        SoftwareApplication(
            crate, "#repro-hydra", properties={"name": "repro-hydra", "version": record.repro_hydra}
        )
    )
    files = _files(crate, folder, workflow, described)
    program = _program(crate, folder, workflow)
    crate.root_dataset["mainEntity"] = program
    crate.root_dataset["conformsTo"] = [
        _entity(crate, url, type="CreativeWork", name=name, version=url.rpartition("/")[2])
        for url, name in _PROFILES.items()
    ]
    people: dict[str, Any] = {}
    actions = []
    for original, run in zip(originals, record.runs, strict=True):
        who = original.run.user or "unknown"
        if who not in people:
            people[who] = _entity(crate, f"#person-{len(people)}", type="Person", name=who)
        actions.append(_action(crate, original, run.dir, files, program, people[who]))
    crate.root_dataset["mentions"] = actions
    crate.root_dataset["sdPublisher"] = tool
    crate.metadata.write(folder)


def _entity(crate: Any, id_: str, *, type: str, **properties: Any) -> Any:
    """Something that is no file, put into the crate."""
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, id_, properties={"@type": type, **properties}))


def _files(crate: Any, folder: Path, workflow: str, described: Mapping[str, str]) -> dict[str, Any]:
    """Each file of the export but the program, by its name."""
    files: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name in (workflow, "ro-crate-metadata.json"):
            continue
        properties: dict[str, Any] = {"name": path.name, "contentSize": str(path.stat().st_size)}
        if path.suffix in _TYPES:
            properties["encodingFormat"] = _TYPES[path.suffix]
        if name in described:
            properties["description"] = described[name]
        files[name] = crate.add_file(path, dest_path=name, properties=properties)
    return files


def _program(crate: Any, folder: Path, workflow: str) -> Any:
    """The program that was run, and its language."""
    program = crate.add_file(
        folder / workflow,
        dest_path=workflow,
        properties={
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": Path(workflow).name,
            "description": "The program that was run; with all that it imports in the bundle of its code.",
        },
    )
    python = "https://www.python.org/"
    program["programmingLanguage"] = _entity(
        crate, python, type="ComputerLanguage", name="Python", url={"@id": python}
    )
    return program


def _action(
    crate: Any, original: Original, run_dir: str, files: Mapping[str, Any], program: Any, person: Any
) -> Any:
    from rocrate.model.contextentity import ContextEntity

    run = original.run
    properties: dict[str, Any] = {
        "@type": "CreateAction",
        "name": f"{run.name or run.task or 'run'}, seed {run.seed}, {run.status}",
        "startTime": run.started_at or run.created_at,
        "actionStatus": {"@id": f"http://schema.org/{_STATUS.get(run.status, 'FailedActionStatus')}"},
        "description": " ".join(run.argv),
    }
    if run.ended_at is not None:
        properties["endTime"] = run.ended_at
    if run.error is not None:
        properties["error"] = f"{run.error.type}: {run.error.message}"
    action = crate.add(ContextEntity(crate, f"#run-{run.run_id}", properties=properties))
    action["instrument"] = program
    action["agent"] = person
    own = {name: file for name, file in files.items() if name.startswith(f"{run_dir}/")}
    record = f"{run_dir}/{RECORD_DIR}"
    given = (f"{record}/config.json", f"{record}/environment.json", f"{record}/data.json")
    action["object"] = [own[name] for name in given if name in own]
    made = [file for name, file in own.items() if not name.startswith(f"{record}/")]
    made += [own[name] for name in (f"{record}/result.json", f"{record}/metrics.jsonl") if name in own]
    action["result"] = made
    return action
