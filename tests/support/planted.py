"""Videos that show what another one shows: encoded again, cut, mirrored."""

import av
import numpy as np
from vadbench_synthetic.dataset import Synthetic
from vadbench_synthetic.render import frames

COUNTS = {"train": 5, "test": 3}


def scenes(folder):
    """Frames of some scenes of the synthetic data set by name, those of ``train`` first."""
    dataset = Synthetic(folder, **COUNTS, frames=(200, 260))
    return {name: np.stack(list(frames(s))) for split in COUNTS for name, s in dataset.scripts(split).items()}


def write(path, pictures, codec="libx264", size=None, **how):
    """Write a video file; ``how`` has options of the codec, and ``bit_rate``."""
    bit_rate = how.pop("bit_rate", None)
    width, height = size or (pictures.shape[2], pictures.shape[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={k: str(v) for k, v in how.items()})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if bit_rate:
            stream.bit_rate = bit_rate
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame.reformat(width=width, height=height)))
        container.mux(stream.encode(None))


def variants(pictures):
    """The planted copies of a video by name: its frames, how to write them, its kind, first frame and mirroring."""
    length, height, width = pictures.shape[:3]
    cut = slice(47, 47 + int(0.62 * length))
    mirrored = pictures[:, :, ::-1]
    return {
        "bitrate": (pictures, {"codec": "mpeg4", "bit_rate": 200_000}, "same", 0, False),
        "quality": (pictures, {"crf": 30}, "same", 0, False),
        "size": (pictures, {"size": (2 * width, 2 * height), "crf": 26}, "same", 0, False),
        "cut": (pictures[cut], {"crf": 26}, "part", 47, False),
        "tail": (pictures[75:], {"crf": 26}, "part", 75, False),
        "mirror": (mirrored, {"crf": 23}, "same", 0, True),
        "mirrored-cut": (mirrored[cut], {"crf": 23}, "part", 47, True),
    }
