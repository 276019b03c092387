"""The page that says what becomes of inputs."""

from input_cases.videos import VIDEOS

SECTIONS = (VIDEOS,)
