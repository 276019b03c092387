"""AnomalyCLIP's protocol, by which the authors' code turns scores into figures (spec of AnomalyCLIP, section 5).

Both ends of an interval are inside, a video has the frames of its rows, and videos of several anomaly classes are left
out.
"""

from vadbench.scoring.protocol import Protocol, ProtocolPreset

ANOMALYCLIP = ProtocolPreset(
    Protocol(name="anomalyclip", boundaries="anomalyclip", tail="rows", subset="single-anomaly", drop_zeros=True)
)
