"""A Dockerfile: base image, system packages, variables, requirements before the code, a user, the command."""

from __future__ import annotations

import json
import re
import shlex

from repro_hydra.environment.exports.requirements import project_path
from repro_hydra.environment.exports.subject import (
    MADE_BY,
    CannotExport,
    Export,
    Subject,
    comment_lines,
    described,
    notes_of,
)
from repro_hydra.environment.pins import Pin

_IMAGE = re.compile(r"[A-Za-z0-9][\w./:-]*(?:@sha256:[0-9a-f]{64})?")
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
_FOLDER = "/workspace"
_USER = "runner"
_USER_ID = 1000
_SYSTEM_PACKAGES = {
    "opencv-python": ("libgl1", "libglib2.0-0"),
    "opencv-contrib-python": ("libgl1", "libglib2.0-0"),
    "opencv-python-headless": ("libglib2.0-0",),
    "soundfile": ("libsndfile1",),
    "lightgbm": ("libgomp1",),
    "pygraphviz": ("graphviz",),
    "graphviz": ("graphviz",),
    "pydot": ("graphviz",),
    "psycopg2": ("libpq5",),
    "pyaudio": ("libportaudio2",),
    "mpi4py": ("libopenmpi-dev", "openmpi-bin"),
    "mujoco": ("libgl1", "libegl1", "libosmesa6"),
    "python-magic": ("libmagic1",),
}
"""Libraries of the system that these packages load and their wheels do not bring (Debian's names)."""


def dockerfile(subject: Subject) -> Export:
    """The file, built from the project's top folder.

    Raises
    ------
    CannotExport
        For a base image whose name is none.
    """
    pins = subject.pins.installed
    image = subject.base_image or f"python:{subject.python}-slim"
    if not _IMAGE.fullmatch(image):
        raise CannotExport(f"--base-image: expected a name such as NAME:TAG@sha256:DIGEST, found {image!r}")
    notes = [*notes_of(pins), *(f"not in the image: {problem}" for problem in subject.pins.problems)]
    lines = [
        f"# Dockerfile, {MADE_BY}: {described(subject)}.",
        "# From the project's top folder, .git included (the record of a run needs it): docker build -f THIS_FILE .",
    ]
    if "@sha256:" not in image:
        note = (
            f"{image}: a tag may be moved; a digest is for ever. Give one: --base-image {image}@sha256:… "
            f"(docker buildx imagetools inspect {image} tells it)"
        )
        lines += comment_lines(note)
        notes.append(note)
    for name, value in sorted(subject.variables.items()):
        if not _fits(name, value):
            note = f"the variable {name!r} is not in the image: Docker takes neither such a name nor control characters"
            lines += comment_lines(note)
            notes.append(note)
    lines += [f"FROM {image}", "", *_system_packages(pins), "", *_variables(subject), ""]
    lines += [f"WORKDIR {_FOLDER}", ""]
    if pins:
        lines += _packages(subject, pins)
    lines += [
        f"RUN useradd --create-home --uid {_USER_ID} {_USER} \\",
        f"    && chown {_USER}: {_FOLDER}",
        f"COPY --chown={_USER}:{_USER} . .",
    ]
    for pin in subject.pins.project:
        lines.append(f"RUN python -m pip install --no-cache-dir --no-deps -e {project_path(subject, pin)}")
    lines += [
        f"USER {_USER_ID}",
        f"CMD {json.dumps(list(subject.command) or ['python'], ensure_ascii=False)}",
    ]
    if not subject.command:
        notes.append(
            "CMD is a bare `python`: give what a container runs with --command, or export --from a RUN"
        )
    return Export(text="\n".join(lines) + "\n", notes=tuple(notes), incomplete=bool(subject.pins.problems))


def _system_packages(pins: tuple[Pin, ...]) -> list[str]:
    wanted = {"git"}  # the code of a run is recorded by it
    for pin in pins:
        wanted |= set(_SYSTEM_PACKAGES.get(pin.name, ()))
        if pin.source in ("vcs", "directory") or _must_be_built(pin):
            wanted.add("build-essential")
    return [
        "# No versions: Debian keeps only the newest of each package.",
        "# hadolint ignore=DL3008",
        "RUN apt-get update \\",
        f"    && apt-get install --yes --no-install-recommends {' '.join(sorted(wanted))} \\",
        "    && rm -rf /var/lib/apt/lists/*",
    ]


def _must_be_built(pin: Pin) -> bool:
    return bool(pin.artifacts) and not any(item.filename.endswith(".whl") for item in pin.artifacts)


def _variables(subject: Subject) -> list[str]:
    pairs = [
        f"{name}={_env_value(value)}"
        for name, value in sorted(subject.variables.items())
        if _fits(name, value)
    ]
    return ["ENV " + " \\\n    ".join(pairs)] if pairs else []


def _fits(name: str, value: str) -> bool:
    return bool(_VARIABLE.fullmatch(name)) and value.isprintable()


def _env_value(value: str) -> str:
    """Quoted as ENV reads it, where a ``$`` would be somebody's variable."""
    plain = re.fullmatch(r"[\w:.,/-]+", value)
    escaped = re.sub(r'(["\\$])', r"\\\1", value)
    return value if plain else f'"{escaped}"'


def _packages(subject: Subject, pins: tuple[Pin, ...]) -> list[str]:
    lines = []
    local = [pin for pin in pins if pin.local_version is not None]
    if local:
        names = ", ".join(f"{pin.name}=={pin.version}" for pin in local)
        lines += comment_lines(
            f"{names}: builds that the public index does not have. Say where they are: docker build --build-arg "
            "PIP_EXTRA_INDEX_URL=… (pip reads both variables)"
        )
        lines += ["ARG PIP_EXTRA_INDEX_URL", "ARG PIP_FIND_LINKS"]
    for pin in pins:
        if pin.source != "index" and pin.here_only:
            lines += comment_lines(
                f"{pin.name} {pin.version}: {pin.url} is not in the image, and the next step stops there"
            )
    source = shlex.quote(subject.requirements)
    lines += [
        f"COPY {json.dumps([subject.requirements, 'requirements.txt'])}" if source != subject.requirements
        else f"COPY {subject.requirements} requirements.txt",
        "RUN python -m pip install --no-cache-dir --no-deps -r requirements.txt",
        "",
    ]  # fmt: skip
    return lines
