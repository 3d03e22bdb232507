"""Pictures of one's own: whatever mode and format they are saved in, they are read as they are."""

import io
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from plastic_rl.envs.data.folder import image_files, load_images
from plastic_rl.envs.data.gray import read_gray
from plastic_rl.envs.image_recall import ImageRecallEnv


def gradient(across: int, down: int, size: int = 24) -> np.ndarray:
    """Return a slope from black to white, (size, size) uint8."""
    slope = np.add.outer(np.arange(size) * down, np.arange(size) * across)
    return np.rint(255 * (slope - slope.min()) / np.ptp(slope)).astype(np.uint8)


GRADIENT = gradient(2, 3)
ALPHA = {"LA": "L", "PA": "P", "RGBA": "RGB"}


def lab(gray: Image.Image) -> Image.Image:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.applyTransform(gray.convert("RGB"), ImageCms.buildTransform(*profiles, "RGB", "LAB"))


def palette(gray: Image.Image) -> Image.Image:
    """Return the same picture with a palette from white to black."""
    picture = Image.fromarray(255 - np.asarray(gray)).convert("P")
    picture.putpalette(np.repeat(np.arange(255, -1, -1), 3).tolist())
    return picture


def bits(gray: Image.Image) -> Image.Image:
    return gray.point(lambda value: 255 * (value > 127)).convert("1")


# By mode, how it is made of a gray picture. Numbers are of every range that means the same picture.
MODES = {
    **{mode: (lambda gray, mode=mode: gray.convert(mode)) for mode in ("L", "P", "RGB", "CMYK", "YCbCr", "RGBX")},
    **{mode: (lambda gray, mode=mode: gray.convert(mode)) for mode in ("LA", "PA", "RGBA", "I", "F", "I;16")},
    "1": bits,
    "palette": palette,
    "LAB": lab,
    "I;16 of 16 bits": lambda gray: Image.fromarray(np.asarray(gray).astype(np.uint16) * 257),
    "I;16 shifted": lambda gray: Image.fromarray(np.asarray(gray).astype(np.uint16) << 8),
    "I;16 of 12 bits": lambda gray: Image.fromarray(np.asarray(gray).astype(np.uint16) * 16 + 15),
    "I;16B": lambda gray: Image.fromarray((np.asarray(gray).astype(">u2") * 257).astype(">u2")),
    "I of 16 bits": lambda gray: Image.fromarray(np.asarray(gray).astype(np.int32) * 257),
    "I of 31 bits": lambda gray: Image.fromarray(np.asarray(gray).astype(np.int32) * 8421504),
    "F to 1": lambda gray: Image.fromarray(np.asarray(gray).astype(np.float32) / 255),
    "F of 16 bits": lambda gray: Image.fromarray(np.asarray(gray).astype(np.float32) * 257),
    "F from -1": lambda gray: Image.fromarray(np.asarray(gray).astype(np.float32) / 127.5 - 1),
}
FORMATS = {
    "PNG": {},
    "BMP": {},
    "TIFF": {},
    "TIFF deflated": {"compression": "tiff_adobe_deflate"},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True},
    "GIF": {},
    "PPM": {},
}


def saved(picture: Image.Image, name: str, **more) -> bytes | None:
    """Return the file's content; None where the format does not have the mode (the formats in question do not say)."""
    file = io.BytesIO()
    kind = name.split()[0]
    if kind == "JPEG" and picture.mode == "1":
        return None  # its edges are not kept
    if kind == "WEBP" and (not features.check("webp") or picture.mode not in ("RGB", "RGBA", "L")):
        return None  # it saves any mode, by way of an RGB of Pillow's own making
    if kind == "GIF" and picture.mode not in ("L", "P", "1"):
        return None  # it takes fewer colors
    if kind in ("PNG", "PPM") and picture.mode == "I" and picture.getextrema()[1] > 65535:
        return None  # it has 16 bits
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            picture.save(file, kind, **FORMATS[name], **more)
        Image.open(file).load()
    except OSError:  # it cannot be saved, or Pillow does not read it again (a YCbCr in a TIFF that is not compressed)
        return None
    return file.getvalue()


def read(content: bytes) -> np.ndarray:
    return np.asarray(read_gray(io.BytesIO(content), "picture")).astype(int)


CASES = [
    (mode, form)
    for mode, make in MODES.items()
    for form in FORMATS
    if saved(make(Image.fromarray(GRADIENT)), form) is not None
]


def test_all_modes_are_tried_in_some_format():
    assert {mode for mode, _ in CASES} == set(MODES)


@pytest.mark.parametrize(("mode", "form"), CASES)
def test_a_gradient_comes_back_as_the_same_picture(mode, form):
    comes_back(mode, form, GRADIENT)


@settings(max_examples=60, deadline=None)
@given(case=st.sampled_from(CASES), across=st.integers(-9, 9), down=st.integers(1, 9), size=st.integers(8, 40))
def test_any_gradient_comes_back(case, across, down, size):
    comes_back(*case, gradient(across, down, size))


def comes_back(mode, form, gray):
    picture = Image.fromarray(gray)
    right = np.asarray(bits(picture).convert("L") if mode == "1" else picture).astype(int)
    assert abs(read(saved(MODES[mode](picture), form)) - right).max() <= 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_camera_says(form, orientation):
    upright = Image.fromarray(GRADIENT[:, :16])
    exif = Image.Exif()
    exif[0x0112] = orientation
    undone = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if undone is None else upright.transpose(Image.Transpose(undone))
    content = saved(stored.convert("RGB"), form, exif=exif)
    assert abs(read(content) - GRADIENT[:, :16].astype(int)).max() <= 2


@pytest.mark.parametrize("mode", ALPHA)
@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_a_transparent_ground_is_seen(mode, ink):
    shape = GRADIENT > 100
    drawing = Image.fromarray(np.full_like(GRADIENT, ink)).convert(ALPHA[mode])
    drawing.putalpha(Image.fromarray((255 * shape).astype(np.uint8)))
    content = saved(drawing, "TIFF" if mode == "PA" else "PNG")
    assert (read(content) == np.where(shape, ink, 255 - ink)).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_transparent_color_shows_the_ground(mode):
    gray = Image.fromarray(np.where(GRADIENT > 100, 255, 0).astype(np.uint8)).convert(mode)
    clear = {"RGB": (255, 255, 255)}.get(mode, 255)
    if mode == "P":
        clear = gray.getpixel((23, 23))
    assert set(np.unique(read(saved(gray, "PNG", transparency=clear)))) == {0, 255}


def test_a_transparent_number_of_16_bits_shows_the_ground():
    picture = Image.fromarray(np.where(GRADIENT > 100, 65535, 65534).astype(np.uint16))
    assert (read(saved(picture, "PNG", transparency=65534)) == np.where(GRADIENT > 100, 255, 0)).all()


def test_damaged_words_of_a_camera_do_not_matter():
    content = saved(Image.fromarray(GRADIENT), "PNG", exif=b"Exif\0\0garbage")
    assert (read(content) == GRADIENT).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_files_in_which_white_is_zero(dtype):
    picture = Image.fromarray((255 - GRADIENT).astype(dtype))
    content = bytearray(saved(picture, "TIFF"))
    photometric = content.index((262).to_bytes(2, "little") + (3).to_bytes(2, "little"))
    content[photometric + 8] = 0
    assert abs(read(bytes(content)) - GRADIENT).max() <= 1


def test_numbers_that_are_none_are_named(tmp_path):
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif cannot be read as an image: it has pixels that are NaN"):
        load_images(image_files(tmp_path), 8)


def picture_in(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GRADIENT).save(path)


def test_what_programs_leave_beside_pictures_is_passed_over(tmp_path):
    for name in ("a.png", "b.PNG", "x.png/c.png"):
        picture_in(tmp_path / name)
    for name in ("._a.png", ".ipynb_checkpoints/a-checkpoint.png", "__MACOSX/a.png", ".hidden/deep/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    files = image_files(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == ["a.png", "b.PNG", "x.png/c.png"]
    assert load_images(files, 8).shape == (3, 8, 8)


def test_a_folder_may_itself_be_hidden(tmp_path):
    picture_in(tmp_path / ".pictures" / "a.png")
    assert len(image_files(tmp_path / ".pictures")) == 1


def test_a_broken_link_is_named(tmp_path):
    picture_in(tmp_path / "a.png")
    os.symlink(tmp_path / "gone.png", tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"broken links, or what is no file: .*b\.png$"):
        image_files(tmp_path)


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"what is no file: .*a\.png$"):
        image_files(tmp_path)


def test_links_to_folders_are_followed_once(tmp_path):
    picture_in(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "here").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "here" / "linked")
    os.symlink(tmp_path / "here", tmp_path / "here" / "again")
    assert image_files(tmp_path / "here") == [tmp_path / "here" / "linked" / "a.png"]


def test_flat_pictures_are_left_out_and_named(tmp_path):
    for k in range(3):
        picture_in(tmp_path / f"{k}.png")
    Image.new("L", (8, 8), 9).save(tmp_path / "blank.png")
    with pytest.warns(UserWarning, match=r"one gray: .*blank\.png$"):
        env = ImageRecallEnv(source=f"folder:{tmp_path}", size=8)
    assert len(env.task.images) == 3


def test_a_tilde_within_a_path_is_a_letter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture_in(tmp_path / "~a" / "a.png")
    assert len(image_files("./~a")) == 1


def test_a_home_directory_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"~nobody-of-this-name/pictures needs a home directory"):
        image_files("~nobody-of-this-name/pictures")
