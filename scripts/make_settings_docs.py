"""Write ``docs/settings.md`` from the table of settings; a test fails while it lags behind.

python scripts/make_settings_docs.py            # write it
python scripts/make_settings_docs.py --check    # exit status 1 if it is not up to date
"""

import sys
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from repro_hydra.config import DeterminismConf
from repro_hydra.config_groups import DIFFERENCES
from repro_hydra.determinism import SETTINGS, Setting

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

_HEAD = """\
# Settings

<!-- Written by scripts/make_settings_docs.py from repro_hydra/determinism/settings.py: change that, not this file. -->

What decides whether equal seeds give equal bits, apart from the code, its inputs and its seeds. Each row stands in
`determinism.json` of every run, with what was asked, what was found before, and what was **in force** at entry, at the
first optimizer step and at exit: probed, never echoed. A setting that strict asks for and does not find at entry stops
the start; one that changes in the task is told (`setting-changed:NAME`), and a call that would weaken it takes no
effect (`weakening-ignored:NAME@FILE:LINE`). What a platform may refuse (the address layout) is harmless.

`repro-hydra doctor` probes them on this machine. Why each is as it is: [design/settings.md](design/settings.md).
"""

_OPTIONS = """
## Options

At `hydra.callbacks.repro.determinism`, or in the group `+repro/determinism=enforce|warn|off`.

| option | strict | standard | record |
|---|---|---|---|
"""

_ROWS = """
## The table

An option in the second column asks for the row; *recorded* asks for nothing. "If imported" names the library whose
import sets and probes it, at once or later in the task.

| setting | option | decides | must be set | if imported | how probed |
|---|---|---|---|---|---|
"""


def document() -> str:
    """The whole of ``docs/settings.md``."""
    options = [
        f"| `{field.name}` | {_shown(field.default)} | {_in_mode('standard', field)} | {_in_mode('record', field)} |"
        for field in fields(DeterminismConf)
    ]
    return _HEAD + _OPTIONS + "\n".join(options) + "\n" + _ROWS + "\n".join(map(_row, SETTINGS)) + "\n"


def _row(setting: Setting) -> str:
    option = "recorded" if setting.option is None else f"`{setting.option}`"
    when = "" if setting.option is None else setting.when
    library = "" if setting.library is None else f"`{setting.library}`"
    cells = (f"`{setting.name}`", option, setting.why, when, library, setting.how_probed)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _in_mode(mode: str, field: Any) -> str:
    return _shown(DIFFERENCES[mode]["determinism"].get(field.name, field.default))


def _shown(value: object) -> str:
    if isinstance(value, Enum):
        return f"`{value.value}`"
    return "`null`" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> int:
    """Write the document, or compare it."""
    text = document()
    if "--check" in sys.argv[1:]:
        current = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
        if current != text:
            print(f"{DOCUMENT}: not up to date. Run: python scripts/make_settings_docs.py", file=sys.stderr)
            return 1
        return 0
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
