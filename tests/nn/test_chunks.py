"""Videos of any length in a model of samples: each row comes back in its place, whatever goes through together."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from vadbench.nn.chunks import ROWS_AT_ONCE, chunk_lengths, in_chunks, to_chunks
from vadbench.nn.sampling import row_mask


@given(rows=st.integers(1, 200), length=st.integers(1, 40))
def test_chunks_come_back_in_order(rows, length):
    line = torch.arange(1, rows + 1)[:, None]
    chunks = to_chunks(line, length)
    assert chunks.shape == (math.ceil(rows / length), length, 1)
    assert chunks.flatten()[:rows].tolist() == line.flatten().tolist()
    assert not chunks.flatten()[rows:].any()
    assert [int((c != 0).sum()) for c in chunks] == chunk_lengths(rows, length).tolist()


class Model:
    """Gives each row itself and the sum of its sample, and checks what it is given."""

    def __init__(self, length):
        self.length, self.most = length, 0

    def __call__(self, rows, lengths):
        assert rows.dtype == torch.float32 and rows.shape[1] == self.length
        assert not rows[~row_mask(lengths, self.length)].any()
        self.most = max(self.most, rows.shape[:2].numel())
        return {"row": rows, "sum": rows.sum((1, 2))[:, None].expand(-1, self.length)}


@given(counts=st.lists(st.integers(1, 50), min_size=1, max_size=6), length=st.integers(1, 12))
def test_results_are_those_of_each_chunk_by_itself(counts, length):
    videos = [torch.randn(n, 2, generator=torch.Generator().manual_seed(i)) for i, n in enumerate(counts)]
    found = in_chunks(Model(length), videos, length)
    for video, results in zip(videos, found, strict=True):
        assert torch.equal(results["row"], video)
        for start in range(0, len(video), length):
            chunk = video[start : start + length]
            torch.testing.assert_close(results["sum"][start : start + length], chunk.sum().expand(len(chunk)))


def test_a_long_video_goes_through_in_bounded_parts():
    video = torch.arange(3.0 * ROWS_AT_ONCE + 5)[:, None].half().float()
    model = Model(100)
    (found,) = in_chunks(model, [video.half()], 100)
    assert torch.equal(found["row"], video)
    assert model.most <= ROWS_AT_ONCE


def test_a_chunk_may_be_longer_than_what_goes_through_at_once():
    length = ROWS_AT_ONCE + 1
    (found,) = in_chunks(Model(length), [torch.ones(3, 1)], length)
    assert found["sum"].tolist() == [3, 3, 3]
