"""Videos for tests: numbered frames, odd timing, turned cameras, and servers that misbehave."""

import http.server
import struct
import threading
import time
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT = 64, 48


def numbered(count):
    """Frames that carry their own number as brightness."""
    return [np.full((HEIGHT, WIDTH, 3), 10 + 5 * (i % 48), np.uint8) for i in range(count)]


def noise(count, seed=0):
    """Frames that compress badly, so that files are long."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(count)]


def encode(path, frames, codec="libx264", milliseconds=None, options=None):
    """Write frames, at 25 a second or at the times given."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if milliseconds is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            if milliseconds is not None:
                picture.pts, picture.time_base = milliseconds[i], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Rows of a track's matrix by how far clockwise its frames are to be turned (ISO 14496-12, 8.3.2)."""


def turn(path, degrees):
    """Write into an mp4 file how far clockwise its frames are to be turned, as a phone does."""
    content = path.read_bytes()
    matrix = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in TURNS[degrees])
    path.write_bytes(content[:matrix] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[matrix + 36 :])


def sound(path):
    """A file with sound and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(4):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@contextmanager
def server(content, *, share=1.0, chunked=False, stall=0.0, status=200, pause=lambda part: None):
    """Serve ``content`` on 127.0.0.1, or drop the connection after a ``share`` of it; yields the address.

    Args:
        content: what is served under any path.
        share: how much of it is sent.
        chunked: send chunks instead of stating the length.
        stall: wait so long before the connection closes.
        status: of the answer.
        pause: called after every tenth, with its number from 0.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        requests: list = []

        def do_GET(self):
            self.requests.append((self.path, dict(self.headers)))
            wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
            rest = content[int(wanted) :]
            if "Range" in self.headers:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {wanted}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(status)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Connection", "close")
            sent = rest[: int(len(rest) * share)]
            self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(rest)))))
            self.end_headers()
            try:
                step = max(1, len(sent) // 10)
                for number, start in enumerate(range(0, len(sent), step)):
                    part = sent[start : start + step]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
                    pause(number)
                if chunked and share == 1.0:
                    self.wfile.write(b"0\r\n\r\n")
                time.sleep(stall)
            except OSError:
                pass  # The reader has gone.
            self.close_connection = True

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_address[1]}", Handler.requests
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def grow(path, content, seconds=1.0, steps=10, before_the_last=None):
    """Write a file bit by bit in a thread, which is returned; the last part once an event is set, if one is given."""
    path.touch()

    def write():
        with path.open("ab") as file:
            for i in range(steps):
                if before_the_last and i == steps - 1:
                    before_the_last.wait(300)
                file.write(content[len(content) * i // steps : len(content) * (i + 1) // steps])
                file.flush()
                time.sleep(seconds / steps)

    thread = threading.Thread(target=write)
    thread.start()
    return thread
