"""Pages about runs and leaderboards: self-contained HTML files that load nothing and run nothing from their data.

``content.py`` says what stands on a run's page and ``board.py`` what stands on the leaderboard's, both as plain data;
``page.py`` puts the data beside our own script and style. The script makes text of it, never markup.
"""
