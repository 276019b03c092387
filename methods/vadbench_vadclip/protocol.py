"""VadCLIP's protocol, by which the authors' code turns scores into figures (spec of VadCLIP, section 5).

Intervals are half-open as annotated, a video has the frames of its rows, and mAP@IoU is the authors' definition.
"""

from vadbench.scoring.protocol import Protocol, ProtocolPreset

VADCLIP = ProtocolPreset(
    Protocol(name="vadclip", boundaries="vadclip", tail="rows", localization="vadclip"),
    # The crops that their code scores, of ten.
    crops={"ucfcrime": "5", "xdviolence": "0"},
    # Their code knows the normal class under the label it uses on XD-Violence, and does not on UCF-Crime.
    normal_segments=frozenset({"xdviolence"}),
)
