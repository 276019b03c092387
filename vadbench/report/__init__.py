"""Pages to look at: one self-contained HTML file each, which asks nothing of the network and runs nothing it is given.

``content.py`` says what stands on a run's page and ``board.py`` what stands on the leaderboard's, both as plain data;
``page.py`` puts the data beside our own script and style. The script makes text of it, never markup.
"""
