"""Video files that hold more than one stream of pictures."""

import io
import struct

import av
from PIL import Image


def box(name, *content):
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def boxes(content):
    at = 0
    while at < len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        yield name, content[at : at + size]
        at += size


def jpeg():
    out = io.BytesIO()
    Image.new("RGB", (64, 36), (200, 30, 30)).save(out, "JPEG")
    return out.getvalue()


def with_cover(path):
    """Put artwork before the tracks of an mp4 file whose index is at its end, as taggers do."""
    item = box(b"covr", box(b"data", struct.pack(">II", 13, 0), jpeg()))
    meta = box(b"meta", bytes(4), box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9)), box(b"ilst", item))
    parts = []
    for name, part in boxes(path.read_bytes()):
        if name == b"moov":
            kept = b"".join(inner for kind, inner in boxes(part[8:]) if kind != b"udta")
            part = box(b"moov", box(b"udta", meta), kept)
        parts.append(part)
    path.write_bytes(b"".join(parts))
    return path


def copy_streams(target, *sources):
    """Copy the videos of files side by side into one."""
    with av.open(str(target), "w") as out:
        opened = [av.open(str(source)) for source in sources]
        pairs = [(c, out.add_stream_from_template(c.streams.video[0])) for c in opened]
        for container, stream in pairs:
            for packet in container.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
        for container in opened:
            container.close()
    return target
