"""The captions that the small CLIP was trained on, and what they leave out.

Captions name the light, the layout of the street, and four of the six kinds of anomaly. They never name a distractor
(:data:`vadbench_synthetic.events.DISTRACTORS`), nor a cyclist: the image tower sees the pixels, in frames that are
captioned by their light and layout only. Nor do they name fighting, which in a still picture is two people on an
ordinary street and is captioned as such. So text alone is no perfect classifier, and a method that learns from videos
has something to win.
"""

from __future__ import annotations

from vadbench_synthetic.script import NORMAL, Script

TEMPLATES = (
    "{}",
    "a {}",
    "a photo of {}",
    "a photo of a {}",
    "a video of {}",
    "a video from a CCTV camera of a {}",
    "a frame of a surveillance video showing {}",
)
"""Templates that a phrase is put into."""

UNTAUGHT: dict[str, str | None] = {"Cyclist": None, "Fighting": NORMAL}
"""Kinds that no caption names, and the words that their frames are captioned with instead."""

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "light": {
        "day": ("street by day", "street in daylight", "bright day"),
        "dusk": ("street at dusk", "street in the evening", "red evening light"),
        "night": ("street at night", "dark street", "night"),
    },
    "layout": {
        "near": ("walkway in front of a road", "wide walkway near the camera"),
        "far": ("road in front of a walkway", "road near the camera"),
    },
    "event": {
        NORMAL: (
            "normal",
            "normal street",
            "normal street scene",
            "ordinary street",
            "street with nothing unusual",
            "people walking normally",
            "normal event",
        ),
        "Explosion": ("explosion", "big explosion", "bright fireball of an explosion", "something exploding"),
        "Fire": ("fire", "fire with smoke", "something burning", "burning flames"),
        "Fallen person": ("fallen person", "person lying on the ground", "somebody who fell down", "person who fell"),
        "Vehicle on walkway": (
            "vehicle on walkway",
            "vehicle on the walkway",
            "car driving on the walkway",
            "van driving among people",
        ),
    },
}
"""Attribute -> value -> ways to say it. A frame is scored on each attribute separately."""

ELSEWHERE = (
    "abuse", "arrest", "assault", "burglary", "robbery", "shooting", "shoplifting", "stealing", "vandalism", "riot",
    "road accident", "car accident", "skateboarder", "football match", "kitchen", "concert", "swimming pool", "cat",
    "train station", "beach", "snow", "office", "birthday party", "horse", "airplane", "ship", "classroom", "forest",
)  # fmt: skip
"""Phrases that match no frame: they keep unknown words from being mistaken for a normal street."""


def attributes(script: Script, frame: int) -> dict[str, str | None]:
    """Return the value of each attribute in one frame; ``None`` where no caption is given for it.

    An ordinary frame with a distractor in it is not called normal either: which look-alikes are harmless is for a
    trained method to find out.
    """
    kind, distractors = script.seen(frame)
    event = None if kind == NORMAL and distractors else UNTAUGHT.get(kind, kind)
    layout = "near" if script.camera.walkway_near else "far"
    return {"light": script.camera.light, "layout": layout, "event": event}
