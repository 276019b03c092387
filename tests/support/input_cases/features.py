"""Feature files that others made: of two videos of 320 and 160 frames, 6 numbers wide."""

import os

import numpy as np

from input_cases.cases import Case, Section
from npy_files import save, some_rows
from vadbench.data.lengths import require_rows
from vadbench.features.layouts import open_features

FRAMES = {"a": 320, "b": 160}
SNIPPETS = {name: frames // 16 for name, frames in FRAMES.items()}
CROPS = 10
TOLERANCE = 2
"""Frames by which lengths may differ under every protocol that comes with vadbench."""


def read(folder):
    """Whether the rows of the first crop are those that were made, and the layout."""
    source = open_features(folder, set(FRAMES), FRAMES)
    same = []
    for name, frames in FRAMES.items():
        source.check(name)
        rows = source.crop_rows(name, source.crops(name)[0])
        require_rows(name, len(rows), source.fingerprint.stride, frames, TOLERANCE)
        made = some_rows(FRAMES[name] if source.fingerprint.stride == 1 else SNIPPETS[name])
        same.append(np.array_equal(rows, made[: len(rows)].astype(rows.dtype)))
    return all(same), ""


def rows_of(name, every):
    return some_rows(FRAMES[name] if every == 1 else SNIPPETS[name])


def saved(change=lambda rows: rows, form="{}.npy", every=16, only=FRAMES):
    """A folder with a file of each video; the rows of those in ``only`` are changed."""

    def make(folder):
        for name in FRAMES:
            rows = rows_of(name, every)
            save(folder / form.format(name), change(rows) if name in only else rows)
        return folder

    return make


def crops_in_files(folder):
    for name in FRAMES:
        for crop in range(CROPS):
            save(folder / f"{name}__{crop}.npy", rows_of(name, 16) + crop)
    return folder


def bytes_in_place(data):
    """A folder in which a file of other content stands for the features of the first video."""

    def make(folder):
        saved()(folder)
        (folder / "a.npy").write_bytes(data)
        return folder

    return make


def with_nan(rows):
    changed = rows.copy()
    changed[3, 1] = np.nan
    return changed


def cut_off(folder):
    saved()(folder)
    path = folder / "a.npy"
    path.write_bytes(path.read_bytes()[:-100])
    return folder


def pickled(folder):
    saved()(folder)
    np.save(folder / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    return folder


def archives(folder):
    for name in FRAMES:
        np.savez(folder / f"{name}.npz", rows_of(name, 16))
    return folder


def twice(folder):
    saved()(folder)
    save(folder / "other" / "a.npy", rows_of("a", 16))
    return folder


def out_of_the_folder(folder):
    inside = folder / "features"
    saved()(inside)
    os.rename(inside / "a.npy", folder / "a.npy")
    (inside / "a.npy").symlink_to(folder / "a.npy")
    return inside


def pipes(folder):
    for name in FRAMES:
        os.mkfifo(folder / f"{name}.npy")
    return folder


def crops_first(rows):
    return np.stack([rows + crop for crop in range(CROPS)])


def crops_second(rows):
    return crops_first(rows).swapaxes(0, 1)


KIND = "expected little-endian float16 or float32, found ...; save it again"
FEATURES = Section(
    "Feature files",
    "Features that others made, as `.npy` files in any folders below the one that is given; a feature store of vadbench"
    " is told from them by itself. A file belongs to a video by its name.",
    read,
    True,
    "every row",
    (
        Case("a row every frame (AnomalyCLIP's layout)", saved(every=1)),
        Case("a row every 16 frames", saved()),
        Case("a row every 16 frames, ten files a video, `a__0.npy` (VadCLIP's layout)", crops_in_files),
        Case("an array of rows, crops and values", saved(crops_second)),
        Case("an array of crops, rows and values", saved(crops_first)),
        Case("stored column by column (Fortran's order)", saved(np.asfortranarray)),
        Case("float16", saved(lambda rows: rows.astype(np.float16)), says="every row, as stored"),
        Case("one row less", saved(lambda rows: rows[:-1])),
        Case("`a_i3d.npy`", saved(form="{}_i3d.npy")),
        Case("`a.mp4.npy`", saved(form="{}.mp4.npy")),
        Case("`a.NPY`", saved(form="{}.NPY")),
        Case("in folders of classes", saved(form="Abuse/{}.npy")),
        Case("float64", saved(lambda rows: rows.astype(np.float64)), "refused", KIND),
        Case("big-endian", saved(lambda rows: rows.astype(">f4")), "refused", KIND),
        Case("whole numbers", saved(lambda rows: rows.astype(np.int64)), "refused", KIND),
        Case(
            "float16 in one file alone",
            saved(lambda rows: rows.astype(np.float16), only="b"),
            "refused",
            "b.npy: expected float32 like the others, found float16; save it as that",
        ),
        Case("Python objects (pickled)", pickled, "refused", "a.npy holds pickled Python objects"),
        Case(
            "NaN",
            saved(with_nan, only="a"),
            "refused",
            "video 'a', crop 0: values must be finite, found NaN or infinity in row 3; extract again",
        ),
        Case(
            "too few rows",
            saved(lambda rows: rows[:-3], only="a"),
            "refused",
            "a: 17 feature rows of 16 frames each do not fit a video of 320 frames",
        ),
        Case(
            "too many rows",
            saved(lambda rows: np.vstack([rows, rows[:3]]), only="a"),
            "refused",
            "a: 23 feature rows of 16 frames each do not fit a video of 320 frames",
        ),
        Case(
            "rows of another width",
            saved(lambda rows: rows[:, :-1], only="b"),
            "refused",
            "b.npy: layout vadclip has axes rows, dim, the others are 6 wide, found shape (10, 5); fetch it again",
        ),
        Case(
            "one dimension",
            saved(lambda rows: rows[:, 0]),
            "refused",
            "a.npy: expected an array of 2 dimensions, or of 3 with crops, found shape (20,); fetch it again",
        ),
        Case(
            "no rows",
            saved(lambda rows: rows[:0], only="b"),
            "refused",
            "b.npy holds no rows: expected at least one, found shape (0, 6); make it again",
        ),
        Case(
            "cut off",
            cut_off,
            "refused",
            "a.npy is truncated: shape (20, 6) of float32 needs 608 bytes, found 508; fetch it again",
        ),
        Case(
            "empty",
            bytes_in_place(b""),
            "refused",
            "a.npy is empty: expected a .npy array, found 0 bytes; fetch it again",
        ),
        Case(
            "a web page saved as .npy",
            bytes_in_place(b"<html>quota exceeded</html>"),
            "refused",
            "a.npy is no .npy file of one array: expected numpy's header, found b'<html>quota '...; fetch it again",
        ),
        Case(
            "a pointer of Git LFS",
            bytes_in_place(b"version https://git-lfs.github.com/spec/v1\n"),
            "refused",
            "a.npy is no .npy file of one array: expected numpy's header, found b'version http'...; fetch it again",
        ),
        Case(
            "`.npz` archives",
            archives,
            "refused",
            "holds no features of any of the 2 videos: ... found no .npy file; check the folder",
        ),
        Case(
            "pipes",
            pipes,
            "refused",
            "holds no features of any of the 2 videos: ... found no .npy file; check the folder",
        ),
        Case(
            "two files of one video",
            twice,
            "refused",
            "expected one file of crop 0 of 'a', found ... and ...; remove one, or name the folder of one",
        ),
        Case(
            "a link out of the folder",
            out_of_the_folder,
            "refused",
            "a.npy is a link to ...: expected a file in the folder of features, links out of it are not followed",
        ),
        Case(
            "no file",
            lambda folder: folder,
            "refused",
            "holds no features of any of the 2 videos: ... found no .npy file; check the folder",
        ),
    ),
)
