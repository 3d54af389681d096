"""Puts the settings in force and probes them: at entry, at the first optimizer step, and at exit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from repro_hydra.config import DeterminismConf, TorchDeterminism
from repro_hydra.determinism.guard import Guard
from repro_hydra.determinism.operators import LetThrough, Warned
from repro_hydra.determinism.setting import ANY, Setting
from repro_hydra.determinism.settings import SETTINGS
from repro_hydra.imports import is_imported
from repro_hydra.record.schema import JSON, SCHEMA, Finding, Part, Severity

NOT_IMPORTED = "not imported"
_NOT_SEEN: Any = None
_OWN = {"torch": "off", "threads": "null", "precision": "own"}
"""What each option is set to, so that the program decides."""


class SettingRecord(Part, frozen=True, kw_only=True):
    """One row of ``determinism.json``."""

    name: str
    why: str
    when: str
    how: str
    asked: JSON
    """None: not asked for, recorded only."""
    before: JSON = None
    """What was found before it was set, where it can be set in a running process."""
    entry: JSON = None
    first_step: JSON = None
    exit: JSON = None
    in_force: bool | None = None
    """Whether every probe found what was asked. None: nothing was asked, or its library was never imported."""


class DeterminismRecord(Part, frozen=True, kw_only=True):
    """``determinism.json``."""

    schema: str = SCHEMA
    settings: list[SettingRecord]


class SettingsWatch:
    """Applies the settings as their libraries come in, and keeps what each probe found.

    Parameters
    ----------
    options : DeterminismConf
        What to ask for.
    when_imported : callable
        The session's `LateImports.when_imported`.
    start : str
        The directory that files are named relative to.
    waived : callable, optional
        Whether an operator without a deterministic implementation is waived; None where none is.
    undoable : bool
        Leave alone what could not be undone by `restore`.
    """

    def __init__(
        self,
        options: DeterminismConf,
        when_imported: Callable[[str, Callable[[], None]], None],
        start: str = "",
        waived: Callable[[str], bool] | None = None,
        *,
        undoable: bool = False,
    ) -> None:
        self._guard = Guard(start)
        self._undoable = undoable
        self._undo: list[Callable[[], None]] = []
        self._operators: LetThrough | Warned | None = None
        if options.torch is TorchDeterminism.warn:
            self._operators = Warned(start)
        elif options.torch is TorchDeterminism.enforce and waived is not None:
            self._operators = LetThrough(waived, start)
        self._options = options
        self._when_imported = when_imported
        self._asked: dict[str, JSON] = {}
        self._found: dict[str, dict[str, JSON]] = {"entry": {}, "first_step": {}, "exit": {}}
        self._before: dict[str, JSON] = {}
        self._why_not: dict[str, str] = {}
        self._known_at_entry: set[str] = set()
        self._step_hook: Any = None

    def enter(self) -> None:
        """Set and probe what can be now; the rest as soon as its library is imported."""
        for setting in SETTINGS:
            if setting.library is None:
                self._apply_and_probe(setting)
        libraries = dict.fromkeys(setting.library for setting in SETTINGS if setting.library is not None)
        for library in libraries:
            self._when_imported(library, partial(self._enter_library, library))
        self._when_imported("torch", self._watch_first_step)
        self._when_imported("torch", lambda: self._guard.install(self._options, undoable=self._undoable))
        if self._operators is not None:
            self._when_imported("torch", self._operators.install)

    def probe_exit(self) -> None:
        """Probe once more, when the task is done."""
        self._probe_all("exit")
        self.stop()

    def stop(self) -> None:
        """Give everything back: the hooks, and torch's own switches."""
        if self._operators is not None:
            self._operators.stop()
        self._guard.stop()
        self._stop_step_hook()

    def _stop_step_hook(self) -> None:
        if self._step_hook is not None:
            self._step_hook.remove()
            self._step_hook = None

    def restore(self) -> None:
        """Set what was set here back to what was found before, the last first; what cannot be undone stays."""
        while self._undo:
            self._undo.pop()()

    def not_in_force(self) -> list[Setting]:
        """The settings that were asked for and that the probe at entry did not find."""
        return [
            setting
            for setting in SETTINGS
            if setting.name in self._found["entry"]
            and self._holds(setting, self._found["entry"][setting.name]) is False
        ]

    def entry_findings(self) -> list[Finding]:
        """A finding for each setting that is not in force at entry: what could be known beforehand."""
        self._known_at_entry = set(self._asked)
        return [
            *(self._not_in_force(setting, setting.severity) for setting in self.not_in_force()),
            *self._overridden(),
        ]

    def _not_in_force(self, setting: Setting, severity: Severity) -> Finding:
        why_not = self._why_not.get(setting.name)
        return Finding(
            id=f"setting-not-in-force:{setting.name}",
            severity=severity,
            message=(
                f"{setting.name}: expected {self._asked[setting.name]!r}, "
                f"found {self._found['entry'][setting.name]!r} ({setting.how_probed}"
                f"{'' if why_not is None else f'; {why_not}'}). It decides {setting.why}; it must be set "
                f"{setting.when}. {setting.mend()}"
            ),
        )

    def _overridden(self) -> list[Finding]:
        """A finding for each setting that somebody had chosen otherwise before the task began."""
        findings = []
        for setting in SETTINGS:
            before = self._before.get(setting.name, setting.usual)
            if setting.usual is ANY or before == setting.usual or self._holds(setting, before) is not False:
                continue
            findings.append(
                Finding(
                    id=f"setting-overridden:{setting.name}",
                    severity="harmless",
                    message=(
                        f"{setting.name}: was {before!r} before the task began, and is now "
                        f"{self._asked[setting.name]!r}. It decides {setting.why}. To decide it yourself: "
                        f"hydra.callbacks.repro.determinism.{setting.option}={_OWN[setting.option or '']}"
                    ),
                )
            )
        return findings

    def change_findings(self) -> list[Finding]:
        """A finding for each call that was kept from weakening a setting, and for each setting that changed."""
        findings = self._guard.findings()
        findings += [] if self._operators is None else self._operators.findings()
        findings += [
            self._not_in_force(setting, "harmless" if setting.severity == "harmless" else "may_change_bits")
            for setting in self.not_in_force()
            if setting.name not in self._known_at_entry  # of a library that the task imported
        ]
        for setting in SETTINGS:
            if self._holds(setting, self._found["entry"].get(setting.name)) is not True:
                continue
            for moment, words in (("first_step", "at the first optimizer step"), ("exit", "at exit")):
                found = self._found[moment]
                if setting.name in found and self._holds(setting, found[setting.name]) is False:
                    findings.append(
                        Finding(
                            id=f"setting-changed:{setting.name}",
                            severity="may_change_bits",
                            message=(
                                f"{setting.name}: {self._asked[setting.name]!r} was in force at entry, "
                                f"found {found[setting.name]!r} {words} ({setting.how_probed}): the task, or "
                                "a library in it, changed it. Find the call and take it out"
                            ),
                        )
                    )
                    break
        return findings

    def record(self) -> DeterminismRecord:
        """All settings as ``determinism.json`` states them."""
        return DeterminismRecord(settings=[self._row(setting) for setting in SETTINGS])

    def _row(self, setting: Setting) -> SettingRecord:
        found = {moment: self._found[moment].get(setting.name, _NOT_SEEN) for moment in self._found}
        missing = setting.library is not None and not is_imported(setting.library)
        probes = [self._found[m][setting.name] for m in self._found if setting.name in self._found[m]]
        verdicts = [self._holds(setting, probe) for probe in probes]
        return SettingRecord(
            name=setting.name,
            why=setting.why,
            when=setting.when,
            how=f"{setting.library} {NOT_IMPORTED}" if missing else setting.how_probed,
            asked=self._asked.get(setting.name),
            before=self._before.get(setting.name),
            in_force=None if not verdicts or None in verdicts else all(verdicts),
            **found,
        )

    def _holds(self, setting: Setting, found: JSON) -> bool | None:
        asked = self._asked.get(setting.name)
        return None if asked is None else setting.holds(asked, found)

    def _enter_library(self, library: str) -> None:
        for setting in SETTINGS:
            if setting.library == library:
                self._apply_and_probe(setting)

    def _apply_and_probe(self, setting: Setting) -> None:
        asked = None if self._undoable and setting.lasting else setting.asked(self._options)
        self._asked[setting.name] = asked
        if asked is not None and setting.apply is not None:
            before = self._before[setting.name] = _probe(setting)
            if self._undoable:
                remember = setting.remember or (lambda: partial(setting.apply or _nothing, before))
                self._undo.append(remember())
            if not setting.holds(asked, before):
                try:
                    setting.apply(asked)
                except RuntimeError as error:  # too late: the probe tells what is in force instead
                    self._why_not[setting.name] = str(error).partition("\n")[0]
        self._found["entry"][setting.name] = _probe(setting)

    def _probe_all(self, moment: str) -> None:
        for setting in SETTINGS:
            if setting.library is None or (setting.name in self._asked and is_imported(setting.library)):
                self._found[moment][setting.name] = _probe(setting)

    def _watch_first_step(self) -> None:
        from torch.compiler import is_compiling
        from torch.optim.optimizer import register_optimizer_step_pre_hook

        def first_step(*_: Any) -> None:
            # It stays until `stop`: torch goes through its hooks in this moment, and others may be among them. A step
            # that torch.compile traces is not looked at: what is in force would be no part of its graph.
            if not is_compiling() and not self._found["first_step"]:
                self._probe_all("first_step")

        self._step_hook = register_optimizer_step_pre_hook(first_step)


def _nothing(_: JSON) -> None:
    """For a row that cannot be set in a running process."""


def _probe(setting: Setting) -> JSON:
    try:
        return setting.probe()
    except (AttributeError, RuntimeError, OSError, KeyError) as error:  # a build without the part
        return f"cannot be probed: {error}"
