"""Pages about runs and leaderboards: self-contained HTML files that load nothing and execute nothing from their data.

``content.py`` makes the content of a run's page and ``board.py`` that of the leaderboard's, both as plain data;
``page.py`` adds the script and style to the data. The script shows the data as text, never as markup.
"""
