"""What `reproduce --env rebuild` hands to an installer, from a record that anybody may have written."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro_hydra.record.environment import Distribution
from repro_hydra.reproduce.rebuild import requirements_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_each_origin_is_installed_from_where_it_came(tmp_path: Path) -> None:
    """The addresses are those that the record holds: of a repository with the system before it (`git+https`)."""
    wheel = tmp_path / "local-1.0-py3-none-any.whl"
    wheel.touch()
    requirements, problems = requirements_of(
        [
            Distribution(name="numpy", version="2.3.5"),
            Distribution(name="pip", version="25.0"),
            Distribution(name="repro_hydra", version="0.1"),
            Distribution(name="Setup_Tools.x", version="80.9"),
            Distribution(name="own", version="1.0", kind="editable", url="file:///here/own", editable=True),
            Distribution(
                name="forked", version="1.0", kind="vcs", url="git+https://example.org/f.git", commit=COMMIT
            ),
            Distribution(name="built", version="1.0", kind="archive", url="https://example.org/b-1.0.whl"),
            Distribution(name="local", version="1.0", kind="archive", url=wheel.as_uri()),
        ]
    )
    assert problems == []
    assert requirements == [
        "built @ https://example.org/b-1.0.whl",
        f"forked @ git+https://example.org/f.git@{COMMIT}",
        f"local @ {wheel.as_uri()}",
        "numpy==2.3.5",
        "setup-tools-x==80.9",
    ]


@pytest.mark.parametrize(
    ("hostile", "named"),
    [
        (Distribution(name="--index-url=http://evil", version="1"), "no name of a package"),
        (Distribution(name="a", version="1\n--index-url http://evil"), "expected a version"),
        (
            Distribution(
                name="a", version="1", kind="vcs", url="git+https://x/y\n-r /etc/passwd", commit="ab"
            ),
            "expected an address of a repository",
        ),
        (
            Distribution(name="a", version="1", kind="vcs", url="git+https://x/y", commit="--upload-pack=x"),
            "expected a commit",
        ),
        (
            Distribution(name="a", version="1", kind="archive", url="https://x/y -e ."),
            "address of an archive",
        ),
        (
            Distribution(name="a", version="1", kind="local", url="file:///not/here"),
            "of the machine of the run",
        ),
        (Distribution(name="a", version="1", kind="archive", url="file:///not/here.whl"), "of the machine"),
        (
            Distribution(name="a", version="1", kind="vcs", url="git+file:///not/here", commit=COMMIT),
            "of the machine of the run",
        ),
    ],
)
def test_what_no_installer_may_be_given_is_a_problem(hostile: Distribution, named: str) -> None:
    requirements, problems = requirements_of([hostile])
    assert requirements == []
    assert len(problems) == 1
    assert named in problems[0]
