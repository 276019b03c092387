"""Files of scores as they circulate, and archives that lie."""

import io
import json
import struct
import zipfile

import numpy as np

NAMES = ["Riot001_x264", "Bad.Boys.1995__#00-10-00_label_B2-0-0", "Straße", "v=Xy__#1_label_G", "calm"]


SCORES = {
    name: np.random.default_rng(i).random(3 + i).astype(np.float32 if i % 2 else np.float64)
    for i, name in enumerate(NAMES)
}


def write(path, values):
    """Write the scores of one video in the form that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = [float(v) for v in values]
    match path.suffix:
        case ".npy":
            np.save(path, values)
        case ".npz":
            np.savez(path, scores=values)
        case ".json":
            path.write_text(json.dumps(plain), encoding="utf-8")
        case ".csv":
            path.write_text("score\n" + "\n".join(map(repr, plain)) + "\n", encoding="utf-8")
        case ".txt":
            path.write_text("\n".join(map(repr, plain)) + "\n", encoding="utf-8")


def zipped(path, **members):
    """An archive of bytes, without pressing them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


ROWS = np.arange(3.0).tobytes()


def header(shape="(3,)", descr="'<f8'", order="False", content=ROWS, magic=b"\x93NUMPY\x01\x00"):
    """The bytes of a .npy file whose header says something."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (64 - (len(text) + 11) % 64) + b"\n"
    return magic + struct.pack("<H", len(text)) + text + content


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def same(found, expected=SCORES):
    """The scores are those, in their precision or more."""
    assert list(found) == list(expected) or sorted(found) == sorted(expected)
    for name, values in expected.items():
        assert found[name].values.tolist() == values.tolist(), name
