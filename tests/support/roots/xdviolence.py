"""Roots in XD-Violence's form, with VadCLIP's lists."""

TRAIN = ["v=aa__#1_label_B1-0-0", "Two  words.2001__#00-01_label_G", 'Bad=it\'s "é"__#1_label_A']
TEST = ["v=bb__#1_label_B4-0-0", "v=cc__#1_label_B2-G-0", "v=dd__#1_label_A"]
BINARY = ["v=bb__#1_label_B4-0-0 0 9 20 24", "v=cc__#1_label_B2-G-0.mp4 30 35 5 12"]
CLASSES = ["v=bb__#1_label_B4-0-0 B4 0 9 B4 20 24", "v=cc__#1_label_B2-G-0.mp4 G 30 35 B2 5 12 G 10 12"]
EVERY_FILE = {
    "annotations.txt": BINARY,
    "annotations_multiclasses.txt": CLASSES,
    "xd_tframes.txt": [f"{name}@40" for name in TEST],
}


def vadclip_list(names):
    """As VadCLIP ships them: absolute paths of another machine, a row for each crop."""
    rows = [(f"/home/someone/{n}__{crop}.npy", n.rsplit("_label_", 1)[1]) for n in names for crop in range(3)]
    quoted = ['"' + path.replace('"', '""') + f'",{label}' for path, label in rows]
    return ["path,label", *quoted]


def make_root(folder, **changes):
    lists = {"list/xd.csv": vadclip_list(TRAIN), "list/xd_test.csv": vadclip_list(TEST)}
    for name, lines in {**EVERY_FILE, **lists, **changes}.items():
        if lines is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder
