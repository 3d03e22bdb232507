"""Readers: archives, folders, damage, and the array they keep."""

import io
import tarfile
import zipfile
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pytest
from PIL import Image

from plastic_rl.envs.data import omniglot
from plastic_rl.envs.data.archives import cached, data_root, members
from plastic_rl.envs.data.cifar10 import load_cifar10
from plastic_rl.envs.data.dead_leaves import dead_leaves
from plastic_rl.envs.data.glyphs import draw_glyphs
from plastic_rl.envs.data.omniglot import load_omniglot


def records(n: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).integers(256, size=(n, 3073), dtype=np.uint8).tobytes()


def write_tar(path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((105, 105), value, np.uint8)).convert("1").save(file, "png")
    return file.getvalue()


def test_cifar10_from_archive_and_folder_is_the_same(tmp_path):
    (tmp_path / "a").mkdir()
    write_tar(tmp_path / "a" / "cifar-10-binary.tar.gz", {"cifar-10-batches-bin/data_batch_1.bin": records(3)})
    folder = tmp_path / "b" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "data_batch_1.bin").write_bytes(records(3))
    first, second = load_cifar10("train", tmp_path / "a"), load_cifar10("train", tmp_path / "b")
    assert first.shape == (3, 32, 32)
    np.testing.assert_array_equal(first, second)
    red, green, blue = np.frombuffer(records(3), np.uint8)[1:3073].reshape(3, 32, 32).astype(float)
    np.testing.assert_allclose(first[0], 0.299 * red + 0.587 * green + 0.114 * blue, atol=0.51)


def test_damaged_cifar10(tmp_path):
    write_tar(tmp_path / "cifar-10-binary.tar.gz", {"test_batch.bin": records(2)[:-1]})
    with pytest.raises(ValueError, match=r"test_batch\.bin .* no whole number"):
        load_cifar10("test", tmp_path)
    with pytest.raises(ValueError, match="holds none of data_batch_1"):
        load_cifar10("train", tmp_path)
    whole = (tmp_path / "cifar-10-binary.tar.gz").read_bytes()
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="damaged or cut short"):
        load_cifar10("test", tmp_path)
    wrong_sum = whole[:-8] + bytes(4) + whole[-4:]
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(wrong_sum)
    with pytest.raises(ValueError, match=r"damaged or cut short \(CRC check failed"):
        list(members(tmp_path / "cifar-10-binary.tar.gz", ("test_batch.bin",)))
    assert [file.name for file in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]


def test_omniglot_from_zip_and_folder_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(omniglot.N_CLASSES, "background", 2)
    zipped, folder = tmp_path / "zip", tmp_path / "folder"
    zipped.mkdir()
    with zipfile.ZipFile(zipped / "images_background.zip", "w") as archive:
        for k in range(2):
            for d in range(20):
                archive.writestr(f"images_background/Abc/character{k + 1:02}/{k:04}_{d + 1:02}.png", png(255 * (d % 2)))
        archive.extractall(folder)
        archive.writestr("__MACOSX/images_background/Abc/character01/._0000_01.png", b"no drawing")
    first, second = load_omniglot("background", zipped), load_omniglot("background", folder)
    assert first.shape == (2, 20, 31, 31)
    assert (first[:, 0] == 255).all()  # ink
    assert (first[:, 1] == 0).all()
    np.testing.assert_array_equal(first, second)


def test_damaged_omniglot(tmp_path):
    with zipfile.ZipFile(tmp_path / "images_background.zip", "w") as archive:
        archive.writestr("images_background/Abc/character01/0001_01.png", png(0))
    with pytest.raises(ValueError, match="holds 1 characters with"):
        load_omniglot("background", tmp_path)
    (tmp_path / "images_background.zip").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(ValueError, match="damaged or cut short"):
        load_omniglot("background", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["images_background.zip"]
    drawing = tmp_path / "images_background" / "Abc" / "character01" / "0001_01.png"
    drawing.parent.mkdir(parents=True)
    drawing.write_bytes(png(0)[:40])
    with pytest.raises(ValueError, match=r"Abc/character01/0001_01\.png in .* cannot be read as an image"):
        load_omniglot("background", tmp_path)


def test_nothing_is_written_outside(tmp_path):
    write_tar(tmp_path / "evil.tar.gz", {"../../test_batch.bin": b"x", "/test_batch.bin": b"y"})
    assert [content for _, content in members(tmp_path / "evil.tar.gz", ("test_batch.bin",))] == [b"x", b"y"]
    assert [file.name for file in tmp_path.iterdir()] == ["evil.tar.gz"]


def test_what_is_kept_is_made_again_when_damaged_or_old(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"")
    made = []

    def make() -> np.ndarray:
        made.append(1)
        return np.arange(3)

    for _ in range(2):
        assert cached([source], "kept", make).tolist() == [0, 1, 2]
    assert len(made) == 1
    (tmp_path / "kept.npy").write_bytes(b"damage")
    assert cached([source], "kept", make).tolist() == [0, 1, 2]
    assert len(made) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kept.npy", "source"]


def test_a_full_disk_keeps_nothing_and_loses_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)  # by then half of it may be written
    (tmp_path / "source").write_bytes(b"")
    assert cached([tmp_path / "source"], "kept", lambda: np.arange(3)).tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


def test_where_data_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("PLASTIC_RL_DATA", str(tmp_path))
    assert data_root() == tmp_path
    assert data_root(tmp_path / "other") == tmp_path / "other"
    with pytest.raises(TypeError, match="root must be the path of a folder or None, got 3"):
        data_root(3)
    monkeypatch.delenv("PLASTIC_RL_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root() == tmp_path / "plastic_rl"


def test_where_data_lies_without_a_home_directory(monkeypatch):
    for name in ("PLASTIC_RL_DATA", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**30)  # a user that is nowhere on file, as in some containers
    assert data_root() == Path(gettempdir()) / "plastic_rl"
    with pytest.raises(ValueError, match="~/data needs a home directory"):
        data_root("~/data")


def test_glyphs_are_the_same_however_many_are_asked_for():
    few, many = draw_glyphs(3, 2), draw_glyphs(5, 2)
    np.testing.assert_array_equal(few, many[:3])
    assert not np.array_equal(few, draw_glyphs(3, 2, seed=1))
    assert not np.array_equal(few, draw_glyphs(3, 2, split="test"))
    ink = (draw_glyphs(50) > 127).mean(axis=(2, 3))
    assert 0.01 < ink.min() < ink.max() < 0.5
    with pytest.raises(ValueError, match="n_classes must be at least 1, got 0"):
        draw_glyphs(0)


def test_drawings_of_a_glyph_are_alike_and_those_of_others_not():
    images = draw_glyphs(40, 2, split="test").reshape(40, 2, -1).astype(float)
    distances = ((images[:, None, 0] - images[None, :, 1]) ** 2).sum(axis=-1)
    assert (distances.argmin(axis=1) == np.arange(40)).mean() > 0.8


def test_dead_leaves_hang_together_over_all_scales():
    images = dead_leaves(200, 32).astype(float)
    assert np.array_equal(images[:3], dead_leaves(200, 32)[:3])
    images -= images.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.rfft(images, axis=2)) ** 2).mean(axis=(0, 1))[1:12]
    slope = np.polyfit(np.log(np.arange(1, 12)), np.log(power), 1)[0]
    assert -2 < slope < -0.5  # natural images: about -1 along a line
