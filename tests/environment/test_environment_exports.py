"""Exports, read back by the field's own tools: packaging, dockerfile-parse, hadolint, conda's matcher."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomlkit
import yaml
from packaging.requirements import Requirement

from repro_hydra.environment import capture_environment
from repro_hydra.environment.exports import FORMATS, CannotExport, Subject, render
from repro_hydra.environment.exports.conda import conda_packages
from repro_hydra.environment.pins import pins_of
from repro_hydra.record.environment import Distribution, Source
from repro_hydra.record.lock import Artifact

ENVIRONMENT = capture_environment(environ={}, distributions=[])
SHA = "ab" * 32
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def index(name: str, version: str, **more: Any) -> Distribution:
    return Distribution(name=name, version=version, kind="index", installer="pip", **more)


VCS = Distribution(
    name="from-git", version="0.3", kind="vcs", url="git+https://example.org/g.git", commit=COMMIT,
    source=Source(subdirectory="python"),
)  # fmt: skip
ARCHIVE = Distribution(
    name="an-archive", version="2.0", kind="archive", url="https://example.org/an_archive-2.0-py3-none-any.whl",
    source=Source(hashes={"sha256": SHA}),
)  # fmt: skip


def wheel(name: str, version: str) -> Artifact:
    filename = f"{name}-{version}-py3-none-any.whl"
    return Artifact(
        filename=filename, url=f"https://example.org/{filename}", hashes={"sha256": SHA}, size_bytes=5
    )


def subject(*distributions: Distribution, project: Path | None = None, **more: Any) -> Subject:
    artifacts = more.pop("artifacts", {})
    return Subject(
        environment=ENVIRONMENT,
        pins=pins_of(distributions, artifacts=artifacts, project=project),
        project=project,
        **more,
    )


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


# ---------------------------------------------------------------------- requirements


def test_requirements_name_every_package_and_nothing_else(tmp_path: Path) -> None:
    """Exact versions and addresses that `packaging` reads; pip itself and the project's own code are left out."""
    own = Distribution(name="mine", version="0.1", kind="editable", url=tmp_path.as_uri(), editable=True)
    text = render(
        "requirements",
        subject(index("Six", "1.17.0"), index("pip", "24"), VCS, ARCHIVE, own, project=tmp_path),
    ).text
    found = [Requirement(line) for line in lines(text)]
    assert {(item.name, str(item.specifier), item.url) for item in found} == {
        ("six", "==1.17.0", None),
        ("from-git", "", f"git+https://example.org/g.git@{COMMIT}#subdirectory=python"),
        ("an-archive", "", ARCHIVE.url),
    }
    assert "# mine 0.1: this project's own code" in text
    assert "pip install --no-deps -e ." in text


def test_hashes_stand_for_all_or_for_none() -> None:
    """Installers check all requirements or none, so one without a hash takes them from the others, and says so."""
    known = {"six": [wheel("six", "1.17.0")]}
    whole = render("requirements", subject(index("six", "1.17.0"), ARCHIVE, artifacts=known))
    assert whole.text.count(f"--hash=sha256:{SHA}") == 2
    assert whole.notes == ()
    lacking = render("requirements", subject(index("six", "1.17.0"), index("other", "1.0"), artifacts=known))
    assert "--hash" not in lacking.text
    assert "without hashes" in lacking.text
    assert "(other)" in lacking.text
    assert "--online" in lacking.text
    with_source = render("requirements", subject(index("six", "1.17.0"), VCS, artifacts=known))
    assert "cannot check those of a repository or a folder (from-git)" in with_source.text


def test_a_local_version_is_kept_and_explained() -> None:
    """``+cpu`` is another build than the index's: it is pinned as it is, and each format says where it is not."""
    for form in ("requirements", "conda", "dockerfile"):
        export = render(form, subject(index("torch", "2.13.0+cpu")))
        assert any("torch 2.13.0+cpu" in note and "may change bits" in note for note in export.notes)
        assert "2.13.0+cpu" in export.text
    assert "ARG PIP_EXTRA_INDEX_URL" in render("dockerfile", subject(index("torch", "2.13.0+cpu"))).text
    assert "ARG" not in render("dockerfile", subject(index("torch", "2.13.0"))).text


def test_an_editable_install_of_another_repository(tmp_path: Path) -> None:
    """Clean and with a remote it is that commit; else it is the folder, and the note says that it is here only."""
    place = tmp_path / "library"
    place.mkdir()

    def editable(**more: Any) -> Distribution:
        return Distribution(
            name="library", version="1.0", kind="editable", url=place.as_uri(), editable=True, **more
        )

    remote = Source(remote="git@example.org:me/library.git")
    clean = render("requirements", subject(editable(commit=COMMIT, dirty=False, source=remote))).text
    assert lines(clean) == [f"library @ git+ssh://git@example.org/me/library.git@{COMMIT}"]
    dirty = render("requirements", subject(editable(commit=COMMIT, dirty=True, source=remote)))
    assert lines(dirty.text) == [f"-e {place.as_uri()}"]
    assert any("differ from its commit" in note for note in dirty.notes)
    assert tomlkit.parse(render("pylock", subject(editable())).text).unwrap()["packages"] == [
        {"name": "library", "directory": {"path": str(place), "editable": True}}
    ]


@pytest.mark.parametrize(
    ("distribution", "word"),
    [
        (Distribution(name="a", version="1.0\nevil==1"), "version"),
        (Distribution(name="a b; reboot", version="1.0"), "name"),
        (Distribution(name="-r/etc/passwd", version="1.0"), "name"),
        (Distribution(name="a", version=None), "version"),
        (Distribution(name="a", version="1", kind="vcs", url="git+https://x.org/`id`", commit="a" * 40), "repository"),
        (Distribution(name="a", version="1", kind="vcs", url="git+https://x.org/a", commit="--upload=x"), "commit"),
        (Distribution(name="a", version="1", kind="archive", url="https://x.org/a b\nRUN id"), "archive"),
    ],
)  # fmt: skip
def test_what_could_smuggle_something_in_is_named_and_left_out(distribution: Distribution, word: str) -> None:
    """A lock from elsewhere cannot put an option, a line or a command into what an installer reads."""
    for form in FORMATS:
        export = render(form, subject(distribution, ARCHIVE))
        assert export.incomplete
        assert any(word in note for note in export.notes), export.notes
        for line in lines(export.text):
            assert "evil" not in line
            assert "reboot" not in line
            assert not line.startswith(("-r", "RUN id"))


# ---------------------------------------------------------------------- pylock.toml


def test_pylock_is_valid_and_holds_each_source() -> None:
    """`packaging` takes it for a lock, and selects every package for this interpreter."""
    pylock = pytest.importorskip("packaging.pylock", reason="packaging before 26 has no pylock module")
    sdist = Artifact(
        filename="old-1.0.tar.gz", url="https://example.org/old-1.0.tar.gz", hashes={"sha256": SHA}
    )
    text = render(
        "pylock",
        subject(
            index("six", "1.17.0"),
            index("old", "1.0"),
            VCS,
            ARCHIVE,
            artifacts={"six": [wheel("six", "1.17.0")], "old": [sdist]},
        ),
    ).text
    lock = pylock.Pylock.from_dict(tomlkit.parse(text).unwrap())
    chosen = {package.name: type(source).__name__ for package, source in lock.select()}
    assert chosen == {
        "six": "PackageWheel",
        "old": "PackageSdist",
        "from-git": "PackageVcs",
        "an-archive": "PackageArchive",
    }


def test_pylock_is_refused_where_a_file_is_unknown() -> None:
    """The format knows no package without a file: all that lack one are named, with the way to have them."""
    with pytest.raises(CannotExport, match=r"other==1\.0, six==1\.17\.0.*--online") as caught:
        render("pylock", subject(index("other", "1.0"), index("six", "1.17.0")))
    assert "pylock" in str(caught.value)


# ---------------------------------------------------------------------- conda


def test_conda_file_is_what_conda_reads() -> None:
    """YAML of the four keys; each dependency is a match specification, each line below pip a requirement."""
    rattler = pytest.importorskip("rattler", reason="py-rattler, conda's matcher, is not installed")
    export = render(
        "conda", subject(index("six", "1.17.0"), VCS, index("on", "1!2.0+x"), project=Path("/a/on"))
    )
    document = yaml.safe_load(export.text)
    assert list(document) == ["name", "channels", "dependencies"]
    assert document["name"] == "on"  # quoted: YAML reads a bare one as true
    *plain, by_pip = document["dependencies"]
    names = {rattler.MatchSpec(spec).name.normalized for spec in plain}
    assert names == {"python", "pip"}
    assert ENVIRONMENT.interpreter.version in str(rattler.MatchSpec(plain[0]).version)
    assert {Requirement(line).name for line in by_pip["pip"]} == {"six", "from-git", "on"}


def test_packages_that_conda_brought_stay_conda_s(tmp_path: Path) -> None:
    """In a conda environment its own packages are pinned with their builds, from their channels."""
    rattler = pytest.importorskip("rattler", reason="py-rattler, conda's matcher, is not installed")
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    for name, version in (("python", "3.11.9"), ("numpy", "2.1.0"), ("openssl", "3.3.1")):
        entry = {
            "name": name,
            "version": version,
            "build": "h0_0",
            "channel": "https://example.org/conda-forge/linux-64",
        }
        (meta / f"{name}.json").write_text(json.dumps(entry))
    (meta / "history").write_text("==> 2026 <==")
    (meta / "broken.json").write_text("{")
    (meta / "odd.json").write_text(
        json.dumps({"name": "o d", "version": "1", "build": "0", "channel": "a;b/x"})
    )
    by_conda = conda_packages(tmp_path)
    export = render(
        "conda",
        subject(
            msgspec.structs.replace(index("numpy", "2.1.0"), kind="conda"),
            index("six", "1.17.0"),
            conda_packages=by_conda.specs,
            conda_channels=by_conda.channels,
            conda_left_out=by_conda.left_out,
        ),
    )
    document = yaml.safe_load(export.text)
    assert document["channels"] == ["conda-forge"]
    assert document["dependencies"] == [
        "numpy=2.1.0=h0_0", "openssl=3.3.1=h0_0", "python=3.11.9=h0_0", "pip", {"pip": ["six==1.17.0"]}
    ]  # fmt: skip
    assert rattler.MatchSpec("numpy=2.1.0=h0_0").build == "h0_0"
    assert export.incomplete
    for word in ("broken.json", "'o d=1=0'", "'a;b'"):
        assert sum(word in note for note in export.notes) == 1
        assert word in export.text


def test_what_pip_installed_over_conda_s_is_pip_s() -> None:
    """Of two versions of one package the one that is imported is not lost, and both are named."""
    over = subject(index("numpy", "2.2.0"), conda_packages=("numpy=2.1.0=h0_0",))
    text = render("conda", over).text
    assert yaml.safe_load(text)["dependencies"][-1] == {"pip": ["numpy==2.2.0"]}
    assert "# numpy: conda has 2.1.0, over which another version was installed" in text
    same = subject(index("typing-extensions", "4.1"), conda_packages=("typing_extensions=4.1.0=h0_0",))
    assert "pip" not in render("conda", same).text.partition("dependencies:")[2]


def test_nothing_is_left_out_without_a_word(tmp_path: Path) -> None:
    """What an export does not hold stands in the file itself, and is told besides."""
    bad = Artifact(filename="six.whl", url="https://example.org/six.whl", hashes={"sha256": "not a hash"})
    (tmp_path / "a library").mkdir()
    (tmp_path / ".git").mkdir()
    editable = Distribution(
        name="library", version="1.0", kind="editable", url=(tmp_path / "a library").as_uri(), editable=True,
        commit=COMMIT, dirty=False, source=Source(remote="https://example.org/l.git"),
    )  # fmt: skip
    gone = msgspec.structs.replace(editable, name="gone", url="file:///nowhere/gone")
    archive = msgspec.structs.replace(ARCHIVE, source=Source(hashes={"sha256": "zz"}))
    packages = {
        "1 of the 2 files that are known of it are left out",
        "no address of a repository can hold its folder there, 'a library'",
        "taken for the repository's top",
    }
    by_pip = {*packages, "sha256 is left out"}
    variables = {"the variable 'A-B' is not in the image", "the variable 'LINES' is not in the image"}
    in_the_file = {"requirements": by_pip, "conda": by_pip, "pylock": packages, "dockerfile": variables}
    for form in FORMATS:
        export = render(
            form,
            subject(
                index("six", "1.17.0"),
                index("pip", "24.0"),
                editable,
                gone,
                ARCHIVE if form == "pylock" else archive,
                artifacts={"six": [wheel("six", "1.17.0"), bad]},
                variables={"A-B": "1", "LINES": "a\nRUN id", "KEPT": "1"},
            ),
        )
        assert "not counting pip 24.0" in export.text
        assert "RUN id" not in export.text
        for words in in_the_file[form]:
            assert words in export.text, form
        for words in in_the_file[form] | packages:
            assert sum(words in note for note in export.notes) == 1, (form, words)


def test_what_a_record_does_not_hold_of_conda_is_told() -> None:
    """A record has the packages of Python alone; which others conda brought, only that environment knows."""
    scipy = msgspec.structs.replace(index("scipy", "1.0"), kind="conda")
    environment = msgspec.structs.replace(ENVIRONMENT, distributions=[scipy])
    export = render("conda", Subject(environment=environment, pins=pins_of([scipy])))
    assert "# not in this file: what conda installed that is no package of Python" in export.text
    assert any("Export from within that environment" in note for note in export.notes)


# ---------------------------------------------------------------------- Dockerfile


def test_dockerfile(tmp_path: Path) -> None:
    """Base by digest, git, variables, requirements before the code, no root, the run's command; hadolint is content."""
    parser = pytest.importorskip("dockerfile_parse", reason="dockerfile-parse is not installed")
    image = f"python:3.11-slim@sha256:{SHA}"
    own = Distribution(
        name="mine", version="0.1", kind="editable", url=(tmp_path / "py").as_uri(), editable=True
    )
    export = render(
        "dockerfile",
        subject(
            index("soundfile", "0.13.0"),
            VCS,
            own,
            project=tmp_path,
            base_image=image,
            requirements="environment/requirements.txt",
            command=("python", "train.py", "+repro=strict", "note=it's $HOME"),
            variables={"PYTHONHASHSEED": "0", "ODD": 'a "b" $c'},
        ),
    )
    parsed = parser.DockerfileParser(fileobj=BytesIO(export.text.encode()))
    assert parsed.baseimage == image
    structure = [(item["instruction"], item["value"]) for item in parsed.structure]
    order = [name for name, _ in structure if name != "COMMENT"]
    assert order == [
        "FROM", "RUN", "ENV", "WORKDIR", "COPY", "RUN", "RUN", "COPY", "RUN", "USER", "CMD",
    ]  # fmt: skip
    values = dict(structure)
    assert parsed.envs["PYTHONHASHSEED"] == "0"
    assert r'ODD="a \"b\" \$c"' in export.text  # what Docker reads as: a "b" $c
    assert json.loads(values["CMD"]) == ["python", "train.py", "+repro=strict", "note=it's $HOME"]
    assert values["USER"] == "1000"
    assert {"git", "build-essential", "libsndfile1"} <= set(export.text.split())
    assert "-e ./py" in export.text
    hadolint = shutil.which("hadolint", path=f"{sysconfig.get_path('scripts')}")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    file = tmp_path / "Dockerfile"
    file.write_text(export.text)
    done = subprocess.run([hadolint, "--no-color", str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    # and it would say so if there were something
    file.write_text(export.text.replace("# hadolint ignore=DL3008\n", ""))
    done = subprocess.run([hadolint, "--no-color", str(file)], capture_output=True, text=True, timeout=60)
    assert "DL3008" in done.stdout


def test_dockerfile_says_what_is_missing() -> None:
    """A tag without a digest and a missing command are told; a base image that is none is refused."""
    export = render("dockerfile", subject(index("six", "1.17.0")))
    assert any("a digest is for ever" in note for note in export.notes)
    assert any("--command" in note for note in export.notes)
    with pytest.raises(CannotExport, match="--base-image"):
        render("dockerfile", subject(base_image="python\nRUN id"))


def test_the_command_line_refuses_a_format_that_is_none() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "repro_hydra", "env", "export", "--format", "nix"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "expected one of requirements, pylock, conda, dockerfile, found 'nix'" in done.stderr
