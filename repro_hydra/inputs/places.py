"""Where a file is no input: the interpreter, installed packages, the system, caches and settings of libraries.

What libraries keep for themselves in the user's home (a font cache, a token, a compiled kernel) is none of the job's
inputs; what they fetched for it (weights, data sets) is.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from urllib.parse import unquote, urlsplit

from repro_hydra.sites import OURS

_PARTS_OF_A_PREFIX = (
    "bin", "sbin", "lib", "lib32", "lib64", "libexec", "include", "share", "etc", "ssl", "man", "conda-meta",
    "pyvenv.cfg",
)  # fmt: skip
_WHOLE = (
    "/etc", "/proc", "/sys", "/dev", "/run", "/boot", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store",
    "/snap", "/System", "/Library", "/var/lib/dbus", "/var/cache/fontconfig",
)  # fmt: skip
_SETTINGS = (
    ".config", ".netrc", ".gitconfig", ".aws", ".ssh", ".docker", ".kaggle/kaggle.json", ".local/state", ".local/lib",
    ".local/bin", ".local/share/jupyter", ".ipython", ".jupyter", ".matplotlib", ".keras/keras.json", ".triton",
    ".nv", ".python_history", ".dask", ".pip", ".condarc", ".pypirc",
)  # fmt: skip
"""Below the user's home."""
_CACHES = (
    "matplotlib", "fontconfig", "pip", "uv", "numba", "repro-hydra", "torch_extensions", "torch/kernels", "wandb",
    "huggingface/token", "huggingface/stored_tokens", "huggingface/version.txt", "huggingface/accelerate", "nvidia",
    "mesa_shader_cache", "black", "ruff", "torch/inductor", "jedi", "cupy",
)  # fmt: skip
"""Below the user's cache folder."""
_FOLDERS_IN_VARIABLES = (
    "MPLCONFIGDIR", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR", "TORCH_EXTENSIONS_DIR",
    "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "JUPYTER_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME",
    "CUDA_CACHE_PATH", "CUPY_CACHE_DIR", "PYTHONPYCACHEPREFIX",
)  # fmt: skip
_INSIDE = frozenset(
    {
        "site-packages",
        "dist-packages",
        ".git",
        ".submitit",
    }
    | {"repro-data", ".locks", ".no_exist", ".pytest_cache", ".ipynb_checkpoints"}
)
"""No file below a folder of these names is one."""
_COMPILED = (".pyc", ".pyo", ".nbi", ".nbc")
"""What Python and Numba keep in ``__pycache__``; what else lies there is somebody's data."""
_BOOKS_OF_WANDB = ("run-", "offline-run-", "latest-run", "sweep-", "settings", "debug", "wandb-")
_STAGED = ("/dev/shm/", "/run/media/", "/run/user/", "/run/mount/")  # noqa: S108 (compared only)
"""Data sets in memory, and disks that were plugged in."""
_SYNCHRONISED = re.compile(r"/dev/shm/(?:sem\.|loky-|pym-|plasma|nccl-|cuda\.shm|torch_)")  # noqa: S108 (compared only)
"""What processes talk by: semaphores, Ray's object store, NCCL, tensors of torch. It comes mapped with a process."""
_SECRETS = re.compile(r"\.env(?:rc)?(?:\..+)?|.+\.env")
"""Variables of one machine: the environment's record has their names."""


_OUR_PLUGINS = os.path.join(os.path.dirname(OURS.rstrip(os.sep)), "hydra_plugins", "repro_hydra_plugin", "")  # noqa: PTH118, PTH120

START_FILE = "repro_hydra_inputs.pth"


def start_file_is_there(folders: Sequence[str] | None = None) -> bool:
    """Whether this environment has the file by which Python children, and a script's top level, are watched."""
    where = folders or [path for name in ("purelib", "platlib") if (path := sysconfig.get_path(name))]
    return any(os.path.isfile(os.path.join(folder, START_FILE)) for folder in where)  # noqa: PTH113, PTH118


class Places:
    """The places of one run.

    Parameters
    ----------
    project : sequence of str
        Where the run was started and the top of its repository: never taken for a part of the system.
    run_dir : str
        What lies in the run's own directory is its output.
    environ : mapping
        For the folders of libraries that are set by variables.
    """

    def __init__(
        self,
        project: Sequence[str],
        run_dir: str,
        environ: Mapping[str, str],
        sweep_dir: str | None = None,
        config_dirs: Sequence[str] = (),
    ) -> None:
        self._project = [os.path.realpath(path) for path in project]
        self._config_dirs = _folders(config_dirs)
        records = [os.path.join(run_dir, name) for name in (".repro", ".repro-earlier", ".hydra")]  # noqa: PTH118
        own = [run_dir] if not self._holds_project(run_dir) else records
        self._own = _folders([*own, *(os.path.realpath(path) for path in own)])
        self._sweep_dir = sweep_dir
        self._system = _folders([*self._prefixes(), *self._installed(environ), *_WHOLE, *_settings(environ)])
        home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
        self._settings_in_home = _folders(f"{home}/{name}" for name in _SETTINGS)
        self._marked: dict[str, bool] = {}

    def _holds_project(self, folder: str) -> bool:
        real = os.path.realpath(folder)
        return any(path == real or path.startswith(real.rstrip(os.sep) + os.sep) for path in self._project)

    def _prefixes(self) -> Iterable[str]:
        for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, "/usr", "/usr/local", "/opt/homebrew"}:
            if prefix in ("/usr", "/usr/local", "/opt/homebrew") or self._holds_project(prefix):
                yield from (f"{prefix.rstrip('/')}/{part}" for part in _PARTS_OF_A_PREFIX)
            else:
                yield prefix
                yield os.path.realpath(prefix)

    def _installed(self, environ: Mapping[str, str]) -> Iterable[str]:
        """Folders that an installer filled (``pip install --target``): the environment's record has what is there."""
        for entry in environ.get("PYTHONPATH", "").split(os.pathsep):
            if entry and not self._holds_project(entry) and _holds_distributions(entry):
                yield os.path.abspath(entry)  # noqa: PTH100
                yield os.path.realpath(entry)

    def excludes(self, path: str) -> bool:
        """Whether the file at this absolute path is no input, wherever it came from."""
        parts = path.split(os.sep)  # noqa: PTH206 (text: a Path for each of 200,000 is slow)
        # With a slash at its end too: one of the places may be a file.
        whole = f"{path}{os.sep}"
        if whole.startswith(self._own) or not _INSIDE.isdisjoint(parts[:-1]):
            return True
        if whole.startswith(self._system) and not whole.startswith(_STAGED):
            return True
        if "__pycache__" in parts[:-1] and (path.endswith(_COMPILED) or ".pyc." in parts[-1]):
            return True
        if "wandb" in parts[:-1] and _is_books_of_wandb(parts[parts.index("wandb") + 1 :]):
            return True
        if _SYNCHRONISED.match(path):
            return True
        if parts[-1].endswith((".yaml", ".yml")) and path.startswith(self._config_dirs):
            return True  # the record has the config that came of it
        if "mlruns" in parts[:-1] and "artifacts" not in parts[parts.index("mlruns") :]:
            return True
        if any(part.startswith("torchinductor_") for part in parts[:-1]):
            return True  # compiled code, in the folder for temporary files
        return _SECRETS.fullmatch(parts[-1]) is not None

    def is_setting(self, path: str) -> bool:
        """Whether it is a setting in the user's home: a library's, or one that the script itself keeps there."""
        return f"{path}{os.sep}".startswith(self._settings_in_home)

    def in_a_run(self, path: str) -> bool:
        """Whether it lies in the folder of a Hydra run or of a sweep, this one's or an earlier one's."""
        return self._is_marked(os.path.dirname(path))  # noqa: PTH120 (strings throughout: thousands of paths)

    def _is_marked(self, folder: str) -> bool:
        if folder not in self._marked:
            above = os.path.dirname(folder)  # noqa: PTH120
            marks = (os.path.join(folder, ".repro"), os.path.join(folder, ".hydra"))  # noqa: PTH118
            own = any(map(os.path.isdir, marks)) and not self._holds_project(folder)
            self._marked[folder] = own or (above != folder and self._is_marked(above))
        return self._marked[folder]

    @cached_property
    def _editable(self) -> tuple[str, ...]:
        return _folders(editable_sources())

    def is_installed_code(self, path: str) -> bool:
        """Whether it is code of an editable install that the environment's record holds although no snapshot does.

        That is this package (its version), and what a builder writes beside a package's code: its version too. All
        else there is in the snapshot of its repository, or it is an input: a module that git ignores, a library that
        was built in place.
        """
        if path.startswith((OURS, _OUR_PLUGINS)):
            return True
        return os.path.basename(path) == "_version.py" and path.startswith(self._editable)  # noqa: PTH119


def _is_books_of_wandb(parts: Sequence[str]) -> bool:
    """Whether W&B keeps it for itself; what a run saved lies in its ``files``."""
    return parts[0].startswith(_BOOKS_OF_WANDB) and "files" not in parts[:-1]


def editable_sources() -> list[str]:
    """The folders that editable installs point at (PEP 610)."""
    found = []
    for distribution in importlib.metadata.distributions():
        text = distribution.read_text("direct_url.json")
        if text is None or '"editable"' not in text:
            continue
        url = urlsplit(str(json.loads(text).get("url", "")))
        if url.scheme == "file":
            found.append(os.path.realpath(unquote(url.path)))
    return found


def _settings(environ: Mapping[str, str]) -> Iterable[str]:
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
    cache = environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    hub = environ.get("HF_HOME")
    yield from (f"{home}/{name}" for name in _SETTINGS)
    yield from (f"{cache}/{name}" for name in _CACHES)
    if hub:
        yield from (f"{hub}/{name}" for name in ("token", "stored_tokens"))
    for name in _FOLDERS_IN_VARIABLES:
        if environ.get(name):
            yield os.path.abspath(environ[name])  # noqa: PTH100


def _holds_distributions(folder: str) -> bool:
    try:
        return any(name.endswith(".dist-info") for name in os.listdir(folder))  # noqa: PTH208 (names only)
    except OSError:
        return False


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    """As prefixes of what lies in them."""
    return tuple({path.rstrip(os.sep) + os.sep for path in paths if path})
