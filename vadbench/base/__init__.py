"""The ground floor: errors, settings, small files, paths, hashing and text; nothing here imports a later stage."""
