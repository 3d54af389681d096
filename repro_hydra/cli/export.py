"""``repro-hydra export``: a run or a sweep for another lab."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import default_roots, print_json
from repro_hydra.crate.write import NotExported, Wanted, write_export
from repro_hydra.record.find import resolve
from repro_hydra.sweep.table import clean


def run(reference: str, output: Path, *, anonymous: bool, exclude: list[str], yes: bool, json: bool) -> None:
    """The command."""
    if importlib.util.find_spec("rocrate") is None:
        raise UserError("it needs the package rocrate. Run: pip install 'repro-hydra[crate]'")
    if shutil.which("git") is None:
        raise UserError("git: expected it on the PATH, found none: the run's code cannot be bundled", NO)
    places = default_roots()
    located = resolve(reference, places)
    if located.kind == "damaged":
        raise UserError(located.problem or f"{reference}: damaged", NO)
    wanted = Wanted(
        located=located,
        target=output,
        anonymous=anonymous,
        despite_secrets=yes,
        exclude=tuple(exclude),
        places=(*places, Path(located.dir)),
    )
    try:
        record = write_export(wanted)
    except NotExported as error:
        raise UserError(str(error), NO) from None
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written ({error.strerror})", NO) from None
    if json:
        print_json(record)
    else:
        print(
            f"{output}: {len(record.runs)} run(s), code in {', '.join(item.bundle for item in record.code)}"
        )
        for item in record.runs:
            for name, reason in item.left_out.items():
                print(clean(f"left out: {item.dir}/{name}: {reason}"))
        for text in record.removed:
            print(clean(f"removed: {text}"))
        print(f"Next: repro-hydra reproduce {output}")
    if record.still_there:
        print(
            "NOT ANONYMOUS YET: the code is not changed, since its runs must stay the same, and it names somebody:",
            file=sys.stderr,
        )
        for text in record.still_there:
            print(clean(f"  {text}"), file=sys.stderr)
        raise SystemExit(NO)
