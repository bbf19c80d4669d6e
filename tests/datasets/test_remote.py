"""Download, verification and the data folder, against a server on this machine."""

import bz2
import gzip
import hashlib
import io
import os
import tarfile
import zipfile

import pytest

from skmtl.datasets import _remote
from skmtl.datasets._remote import (
    download,
    get_data_home,
    prepare_folder,
    read_local,
    unpack,
    write_atomic,
)

CONTENT = b"1, a\n2, ?\n" * 1000
MEMBERS = {"t.data": hashlib.sha256(CONTENT).hexdigest()}


def test_data_home_argument_then_environment_then_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SKMTL_DATA_HOME", "/somewhere")
    assert str(get_data_home()) == "/somewhere"
    assert get_data_home(tmp_path) == tmp_path
    assert get_data_home("~/x") == tmp_path / "x"
    monkeypatch.delenv("SKMTL_DATA_HOME")
    assert get_data_home() == tmp_path / "skmtl_data"
    assert not (tmp_path / "skmtl_data").exists()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("t.data", bytes),
        ("t.data.gz", gzip.compress),
        ("t.data.bz2", bz2.compress),
    ],
)
def test_local_file_is_read_in_every_form(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(CONTENT))
    assert read_local(tmp_path, MEMBERS, ("all.zip",)) == {"t.data": CONTENT}


def test_local_archive_is_read(tmp_path, nested_archive):
    (tmp_path / "all.zip").write_bytes(nested_archive(**{"t.data": CONTENT}))
    assert read_local(tmp_path, MEMBERS, ("all.zip",)) == {"t.data": CONTENT}


def test_missing_local_file_is_left_out(tmp_path):
    assert read_local(tmp_path / "nowhere", MEMBERS) == {}


def test_local_file_with_wrong_content_names_file_and_checksums(tmp_path):
    path = tmp_path / "t.data.gz"
    path.write_bytes(gzip.compress(b"other"))
    with pytest.raises(OSError) as info:
        read_local(tmp_path, MEMBERS)
    message = str(info.value)
    assert str(path) in message
    assert f"is {hashlib.sha256(b'other').hexdigest()}" in message
    assert f"expected {MEMBERS['t.data']}" in message
    assert "Delete or replace this file" in message


def test_truncated_local_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "t.data.gz"
    path.write_bytes(gzip.compress(CONTENT)[:-20])
    with pytest.raises(OSError, match=r"t\.data\.gz: cannot be unpacked"):
        read_local(tmp_path, MEMBERS)


def test_unpack_uses_base_names(nested_archive):
    blob = nested_archive(**{"t.data": CONTENT, "t.names": b"x"})
    assert dict(unpack("http://x/y/all.zip", blob)) == {
        "t.data": CONTENT,
        "t.names": b"x",
    }


def test_download_from_an_archive_and_from_single_files(server, nested_archive):
    server.serve("/all.zip", nested_archive(**{"t.data": CONTENT}))
    server.serve("/t.data.gz", gzip.compress(CONTENT))
    for path in ("/all.zip", "/t.data.gz"):
        got = download((server.url + path,), MEMBERS, n_retries=0, delay=0)
        assert got == {"t.data": CONTENT}


@pytest.mark.parametrize("code", [404, 403])
def test_client_errors_are_not_tried_again(server, code):
    server.serve("/t.data.gz", b"", status=code)
    with pytest.raises(OSError, match=rf"t\.data\.gz: HTTP error {code}"):
        download((server.url + "/t.data.gz",), MEMBERS, n_retries=3, delay=0)
    assert len(server.requests) == 1


def test_passing_faults_are_tried_again(server):
    blob = gzip.compress(CONTENT)
    server.serve("/t.data.gz", b"", status=503)
    server.serve("/t.data.gz", b"", status=429)
    server.serve("/t.data.gz", blob[:-50], length=len(blob))  # connection cut
    server.serve("/t.data.gz", blob)
    url = (server.url + "/t.data.gz",)
    assert download(url, MEMBERS, n_retries=3, delay=0) == {"t.data": CONTENT}
    assert len(server.requests) == 4


def test_retries_end(server):
    server.serve("/t.data.gz", b"", status=503)
    with pytest.raises(OSError, match="HTTP error 503"):
        download((server.url + "/t.data.gz",), MEMBERS, n_retries=2, delay=0)
    assert len(server.requests) == 3


def test_delay_between_tries(server, monkeypatch):
    pauses = []
    monkeypatch.setattr(_remote.time, "sleep", pauses.append)
    server.serve("/t.data.gz", b"", status=500)
    with pytest.raises(OSError):
        download((server.url + "/t.data.gz",), MEMBERS, n_retries=2, delay=7.0)
    assert pauses == [7.0, 7.0]


def test_body_cut_short_is_an_error(server):
    blob = gzip.compress(CONTENT)
    server.serve("/t.data.gz", blob[:-50], length=len(blob))
    with pytest.raises(OSError, match=r"download failed.*IncompleteRead"):
        download((server.url + "/t.data.gz",), MEMBERS, n_retries=1, delay=0)
    assert len(server.requests) == 2


def test_body_that_is_whole_but_damaged_is_an_error(server):
    server.serve("/t.data.gz", gzip.compress(CONTENT)[:-50])
    with pytest.raises(OSError, match=r"cannot be unpacked.*Nothing was kept"):
        download((server.url + "/t.data.gz",), MEMBERS, n_retries=0, delay=0)


def test_wrong_checksum_of_a_download(server):
    server.serve("/t.data.gz", gzip.compress(b"other"))
    with pytest.raises(OSError, match=f"t.data from .*expected {MEMBERS['t.data']}"):
        download((server.url + "/t.data.gz",), MEMBERS, n_retries=0, delay=0)


def test_archive_without_the_file(server, nested_archive):
    server.serve("/all.zip", nested_archive(other=CONTENT))
    with pytest.raises(OSError, match=r"t\.data not found in"):
        download((server.url + "/all.zip",), MEMBERS, n_retries=0, delay=0)


def test_no_server():
    with pytest.raises(OSError, match="download failed"):
        download(("http://127.0.0.1:9/t.data.gz",), MEMBERS, n_retries=0, delay=0)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot create the folder.*SKMTL_DATA_HOME"):
        prepare_folder(tmp_path / "file" / "sub")


def test_folder_without_write_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may write anywhere
    with pytest.raises(PermissionError, match=r"cannot write.*SKMTL_DATA_HOME"):
        prepare_folder(tmp_path)


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("disk")

    write_atomic(tmp_path / "good", b"1")
    monkeypatch.setattr(_remote.Path, "replace", fail)
    with pytest.raises(OSError, match="disk"):
        write_atomic(tmp_path / "t.data.gz", CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def zipped(**files):
    blob = io.BytesIO()
    with zipfile.ZipFile(blob, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return blob.getvalue()


def tar_with_link():
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w") as tar:
        link = tarfile.TarInfo("t.data")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere"
        tar.addfile(link)
    return blob.getvalue()


def hostile(kind):
    """Name and content of a file that cannot be unpacked."""
    central = b"PK\1\2"
    blob = bytearray(zipped(t__data=CONTENT))
    if kind == "cut bz2":
        return "t.data.bz2", bz2.compress(CONTENT)[:-9]
    if kind == "no bz2":
        return "t.data.bz2", CONTENT
    if kind == "encrypted zip":
        blob[blob.find(central) + 8] |= 1
        return "all.zip", bytes(blob)
    if kind == "zip of an unknown method":
        blob[blob.find(central) + 10] = 99
        return "all.zip", bytes(blob)
    if kind == "deep zip":
        deep = zipped(t__data=CONTENT)
        for _ in range(50):
            deep = zipped(a__zip=deep)
        return "all.zip", deep
    if kind == "cut zip":
        return "all.zip", bytes(blob[:-20])
    if kind == "cut tar":
        return "all.tar", tar_with_link()[:300]
    assert kind == "no zip"
    return "all.zip", CONTENT


KINDS = [
    "cut bz2", "no bz2", "encrypted zip", "zip of an unknown method", "deep zip",
    "cut zip", "cut tar", "no zip",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_local_file_that_cannot_be_unpacked(tmp_path, kind):
    name, blob = hostile(kind)
    (tmp_path / name).write_bytes(blob)
    with pytest.raises(OSError, match=r"cannot be unpacked \(.+\)\. Delete") as info:
        read_local(tmp_path, MEMBERS, archives=("all.zip", "all.tar"))
    assert str(tmp_path / name) in str(info.value)


@pytest.mark.parametrize("kind", KINDS)
def test_download_that_cannot_be_unpacked(server, kind):
    name, blob = hostile(kind)
    server.serve(f"/{name}", blob)
    with pytest.raises(OSError, match="cannot be unpacked") as info:
        download((f"{server.url}/{name}",), MEMBERS, n_retries=0, delay=0)
    assert f"{server.url}/{name}" in str(info.value)


def test_links_in_a_tar_file_are_left_out(server):
    server.serve("/all.tar", tar_with_link())
    with pytest.raises(OSError, match=r"t\.data not found in"):
        download((server.url + "/all.tar",), MEMBERS, n_retries=0, delay=0)


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_tar_files_are_read(packed):
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w") as tar:
        for name in ("folder/t.data", "folder/other"):
            info = tarfile.TarInfo(name)
            info.size = len(CONTENT)
            tar.addfile(info, io.BytesIO(CONTENT))
    for name in ("x.tar", "x.tar.gz", "x.tgz"):
        if (packed is bytes) == (name == "x.tar"):
            assert dict(unpack(name, packed(blob.getvalue()), ["t.data"])) == {
                "t.data": CONTENT
            }


def test_what_is_not_wanted_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(_remote, "_MAX_UNPACKED", 2 * len(CONTENT))
    blob = zipped(zeros=bytes(10 * len(CONTENT)), t__data=CONTENT)
    assert dict(unpack("all.zip", blob, MEMBERS)) == {"t.data": CONTENT}


@pytest.mark.parametrize("form", ["zip", "gz", "bz2", "tar.gz"])
def test_a_file_that_unpacks_to_too_much(monkeypatch, form):
    monkeypatch.setattr(_remote, "_MAX_UNPACKED", 2**20)
    zeros = bytes(2**22)
    if form == "tar.gz":
        blob = io.BytesIO()
        with tarfile.open(fileobj=blob, mode="w:gz") as tar:
            info = tarfile.TarInfo("other")
            info.size = len(zeros)
            tar.addfile(info, io.BytesIO(zeros))
        packed = blob.getvalue()
    else:
        pack = {"gz": gzip.compress, "bz2": bz2.compress}
        packed = zipped(t__data=zeros) if form == "zip" else pack[form](zeros)
    with pytest.raises(OSError, match="holds more than 1 MiB"):
        dict(unpack(f"t.data.{form}", packed, MEMBERS))


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_that_is_too_long(server, monkeypatch, announced):
    monkeypatch.setattr(_remote, "_MAX_DOWNLOAD", 2**20)
    server.serve("/t.data", bytes(2**22), length=None if announced else False)
    with pytest.raises(OSError, match=r"/t\.data: the answer has more than 1 MiB"):
        download((server.url + "/t.data",), MEMBERS, n_retries=3, delay=0)
    assert len(server.requests) == 1


@pytest.mark.parametrize("slow", ["header", "body"])
def test_a_server_that_takes_too_long(server, monkeypatch, slow):
    monkeypatch.setattr(_remote, "_TOTAL_TIME", 0.3)
    server.serve("/t.data", CONTENT, slow=slow)
    with pytest.raises(OSError, match=r"/t\.data: no whole answer within 0\.3 seconds"):
        download((server.url + "/t.data",), MEMBERS, n_retries=3, delay=0)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location",
    ["http://[::1", "ftp://127.0.0.1/t.data", "file:///etc/passwd", "http://"],
)
def test_redirects_to_nowhere(server, location):
    server.serve("/t.data", b"", status=302, location=location)
    with pytest.raises(OSError, match=r"/t\.data: ") as info:
        download((server.url + "/t.data",), MEMBERS, n_retries=0, delay=0)
    assert server.url in str(info.value)


def test_redirects_to_the_file_are_followed(server):
    server.serve("/old", b"", status=302, location=f"{server.url}/t.data.gz")
    server.serve("/t.data.gz", gzip.compress(CONTENT))
    with pytest.raises(OSError, match=r"t\.data not found"):
        download((server.url + "/old",), MEMBERS, n_retries=0, delay=0)
    server.serve("/t.data", b"", status=302, location="/t.data.gz")
    server.serve("/moved/t.data.gz", b"", status=301, location="/t.data.gz")
    got = download((server.url + "/moved/t.data.gz",), MEMBERS, n_retries=0, delay=0)
    assert got == {"t.data": CONTENT}
