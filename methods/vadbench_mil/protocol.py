"""The protocol of RTFM, UR-DMU and CLIP-TSA, by which their authors' code turns scores into figures (specs of RTFM,
section 5, of UR-DMU, section 5, and of CLIP-TSA, sections 6 and 7).

A video has the 16 frames of each of its rows, and frames behind its last true one have the label of that one. A row's
score is the mean over crops. The weights are the best of many looks at the test split, which on XD-Violence are judged
by the trapezoid rule, as the three papers' figures there are.
"""

from vadbench.scoring.protocol import Protocol, ProtocolPreset

SEGMENTS16 = ProtocolPreset(
    Protocol(name="segments16", tail="rows-prolonged", crop="mean", selection="best-on-test"),
    changes={
        # RTFM's code marks intervals on the frames of the rows, so that none is prolonged.
        "ucfcrime": {"boundaries": "rtfm", "tail": "rows"},
        "xdviolence": {"judge": "AP/trapezoid"},
    },
)
