"""Contents of versions in folders: place them, and see what was changed since."""
