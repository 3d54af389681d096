"""Looking into files: each form that a name may have, and an end for whoever packs without one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from repro_hydra.crate import packed
from repro_hydra.crate.packed import NotUnpacked, forms_of


def zipped(content: bytes, name: str = "a") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


NAME = b"by somebody with a name"


LOOKED_INTO = {
    "plain": NAME,
    "utf-16": NAME.decode().encode("utf-16"),
    "utf-32": NAME.decode().encode("utf-32-be"),
    "gzip": gzip.compress(NAME),
    "two gzips": gzip.compress(b"another one before it") + gzip.compress(NAME),
    "bz2": bz2.compress(NAME),
    "xz": lzma.compress(NAME),
    "zip": zipped(NAME),
    "name in a zip": zipped(b"", NAME.decode()),
    "gzip of a zip of a gzip": gzip.compress(zipped(gzip.compress(NAME))),
}
NOT_LOOKED_INTO = {
    "zstd": b"\x28\xb5\x2f\xfd rest",
    "damaged gzip": gzip.compress(NAME)[:12] + b"damaged" * 9,
    "damaged zip": zipped(NAME)[:-10],
    "large in a gzip": gzip.compress(bytes(2 << 20)),
    "large in a zip": zipped(bytes(2 << 20)),
    "large in a bz2": bz2.compress(bytes(2 << 20)),
    "five gzips deep": gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(NAME))))),
}


@pytest.mark.parametrize("data", LOOKED_INTO.values(), ids=LOOKED_INTO)
def test_every_form_is_looked_into(data: bytes) -> None:
    assert any(NAME in form for form in forms_of(data))
    assert next(forms_of(data)) is data


@pytest.mark.parametrize("data", NOT_LOOKED_INTO.values(), ids=NOT_LOOKED_INTO)
def test_what_cannot_be_looked_into_is_told(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another packer, a damaged file, one that unpacks to more than it may, archives without end."""
    monkeypatch.setattr(packed, "MOST_BYTES", 1 << 20)
    with pytest.raises(NotUnpacked):
        list(forms_of(data))
