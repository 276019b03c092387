"""Roots in UCF-Crime's official form."""

NAMES = "Abuse Arrest Arson Assault Burglary Explosion Fighting Normal RoadAccidents Robbery Shooting Shoplifting"
TRAIN = ["Abuse/Abuse001_x264.mp4", "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4"]
TEST = [
    "RoadAccidents/RoadAccidents010_x264.mp4",
    "Shooting/Shooting015_x264.mp4",
    "Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4",
]
TEMPORAL = [
    "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1  ",
    "RoadAccidents010_x264.mp4  RoadAccidents  1  20  31  40  ",
    "Shooting015_x264.mp4  Shooting  5  52  -1  -1  ",
]
COUNTS = {"RoadAccidents010_x264": 60, "Shooting015_x264": 50, "Normal_Videos_003_x264": 17}
TEMPORAL_FILE = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
EVERY_FILE = {
    "Anomaly_Train.txt": TRAIN,
    "Annotations/Anomaly_Test.txt": TEST,
    TEMPORAL_FILE: TEMPORAL,
    "Test_Annotation.txt": [f"X/{name}.mp4 {frames} x" for name, frames in COUNTS.items()],
}


def make_root(folder, **changes):
    """A root with the official lists; a change replaces a file's lines, ``None`` leaves the file out."""
    for name, lines in {**EVERY_FILE, **changes}.items():
        if lines is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder
