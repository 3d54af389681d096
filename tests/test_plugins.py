"""What Hydra discovers of this package: cheap, complete, and harmless to others. In fresh interpreters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

HEAVY = ("torch", "scipy", "git", "submitit", "numpy", "psutil")


def run_python(source: str, *, path: Path | None = None) -> Any:
    """The JSON on the last line that a fresh interpreter prints, with `path` in front of its search path."""
    environ = dict(os.environ)
    if path is not None:
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env=environ,
        cwd=path,  # which -c puts in front of everything
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import repro_hydra` is free of whatever takes time to import."""
    assert (
        run_python(
            f"import json, sys, repro_hydra\nprint(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
        )
        == []
    )


def test_discovery_of_our_plugin_loads_nothing_heavy() -> None:
    """Every Hydra program here imports our plugin, so importing it brings none of the heavy libraries in."""
    loaded = run_python(
        f"""
        import importlib, json, pkgutil, sys
        import hydra_plugins.repro_hydra_plugin as ours
        for module in pkgutil.iter_modules(ours.__path__):
            importlib.import_module(f"{{ours.__name__}}.{{module.name}}")
        print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
        """
    )
    assert loaded == []


def test_the_whole_discovery_loads_no_library_for_our_sake() -> None:
    """Hydra's own discovery, with every plugin that is installed, imports none of torch, scipy and GitPython."""
    loaded = run_python(
        f"""
        import json, sys
        import repro_hydra
        from hydra.core.plugins import Plugins
        Plugins.instance()
        print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
        """
    )
    assert loaded == []


def test_groups_and_launcher_are_found() -> None:
    """Modes, nested groups, launcher and guard are there after discovery alone."""
    found = run_python(
        """
        import json
        from hydra.core.config_store import ConfigStore
        from hydra.core.plugins import Plugins
        from hydra.plugins.launcher import Launcher
        from hydra.plugins.search_path_plugin import SearchPathPlugin
        plugins, store = Plugins.instance(), ConfigStore.instance()
        groups = ["repro", *(f"repro/{name}" for name in store.list("repro") if not name.endswith(".yaml"))]
        print(json.dumps({
            "groups": {group: [n.removesuffix(".yaml") for n in store.list(group) if n.endswith(".yaml")]
                       for group in groups},
            "launcher": "repro.yaml" in store.list("hydra/launcher"),
            "classes": [c.__name__ for kind in (Launcher, SearchPathPlugin) for c in plugins.discover(kind)],
        }))
        """
    )
    assert {"strict", "standard", "record"} <= set(found["groups"]["repro"])
    for group in ("repro/seed", "repro/determinism", "repro/environment", "repro/data", "repro/code"):
        assert found["groups"][group], group
    assert found["launcher"]
    assert {"ReproLauncher", "ReproGuard"} <= set(found["classes"])


def test_every_option_of_every_group_composes() -> None:
    """Each mode composes with each option of each nested group, and leaves the user's own config alone."""
    assert (
        run_python(
            """
        import json
        from hydra import compose, initialize_config_dir
        from hydra.core.config_store import ConfigStore
        from repro_hydra.config_groups import MODES, NESTED_GROUPS
        from repro_hydra.session.plan import options_from
        ConfigStore.instance().store(name="mine", node={"seed": 1})
        with initialize_config_dir("/", version_base=None):
            for mode in MODES:
                for group, options in NESTED_GROUPS.items():
                    for name in options:
                        config = compose("mine", [f"+repro={mode}", f"+repro/{group}={name}"], return_hydra_config=True)
                        config.hydra.callbacks.repro.run_mode = None
                        assert options_from(config.hydra.callbacks.repro).mode.value == mode
                        assert [key for key in config if key != "hydra"] == ["seed"]
        print(json.dumps("all"))
        """
        )
        == "all"
    )


def test_a_single_run_imports_nothing_that_few_runs_need() -> None:
    """What comes before the task counts in milliseconds: trackers, frozen sweeps and exports wait until asked for."""
    few = [
        "cloudpickle", "packaging.utils", "tomlkit", "repro_hydra.code.freeze", "repro_hydra.environment.pins",
        "repro_hydra.launcher.frozen", "repro_hydra.record.find", "repro_hydra.session.exports",
        "repro_hydra.tracking.delivery", "repro_hydra.tracking.find", "repro_hydra.tracking.view",
    ]  # fmt: skip
    found = run_python(
        f"""
        import json, sys
        import repro_hydra.callback, repro_hydra.launcher.single_run, repro_hydra.launcher.taking_part
        print(json.dumps([name for name in {few} if name in sys.modules]))
        """
    )
    assert found == []


def test_the_options_are_made_once_and_shared_by_nobody() -> None:
    """Hydra composes twice in a run and copies its whole store for it; making the typed options takes 10 ms."""
    found = run_python(
        """
        import json
        from hydra import compose, initialize_config_dir
        from omegaconf import OmegaConf
        made, structured = [], OmegaConf.structured
        def counted(value, *rest, **more):
            made.append(type(value).__name__)
            return structured(value, *rest, **more)
        OmegaConf.structured = counted
        with initialize_config_dir("/", version_base=None):
            keys = []
            for _ in range(3):
                node = compose(None, ["+repro=strict"], return_hydra_config=True).hydra.callbacks.repro
                keys.append(node.seed.key)
                node.seed.key = "another"
        print(json.dumps([made.count("ReproConf"), keys]))
        """
    )
    assert found == [1, ["seed", "seed", "seed"]]


def test_a_broken_installation_of_ours_breaks_no_other_plugin(tmp_path: Path) -> None:
    """Where our package cannot be imported, Hydra warns, and finds the other plugins all the same."""
    broken = tmp_path / "repro_hydra"
    broken.mkdir()
    (broken / "__init__.py").write_text("import a_library_that_is_missing\n")
    other = tmp_path / "hydra_plugins" / "other_plugin"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    (other / "config.py").write_text(
        "from hydra.core.config_store import ConfigStore\n"
        "ConfigStore.instance().store(group='other', name='x', node={})\n"
    )
    found = run_python(
        """
        import json, warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            from hydra.core.plugins import Plugins
            from hydra.core.config_store import ConfigStore
            Plugins.instance()
        print(json.dumps({"other": "other" in ConfigStore.instance().repo,
                          "ours": "repro" in ConfigStore.instance().repo,
                          "warned": any("a_library_that_is_missing" in str(w.message) for w in caught)}))
        """,
        path=tmp_path,
    )
    assert found == {"other": True, "ours": False, "warned": True}
