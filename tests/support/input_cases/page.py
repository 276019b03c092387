"""The page that says what becomes of inputs."""

from input_cases.images import DATA_SET_FRAMES, FRAMES, IMAGES, OWN_PHOTOS
from input_cases.lists import LISTS
from input_cases.videos import VIDEOS

SECTIONS = (VIDEOS, FRAMES, IMAGES, OWN_PHOTOS, DATA_SET_FRAMES, LISTS)
