"""From the files of a tree to packs, segments and a manifest."""
