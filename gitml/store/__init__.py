"""The store room: where the bytes of trees are kept, on any medium, and how they are found again.

Words: a *medium* holds named objects; a *chunk* is a piece of a file, a *pack* an object of many chunks; a
*segment* lists a run of files, a *manifest* the segments of a tree, and a *root* says which tree a version is.
This room knows nothing of git.

Writing: `source` -> `writer` (with `chunker`, `codec`, `dedup`, `journal`) -> `packing` and `listing` -> `store`.
The formats: `wire`, `pack`, `segment`, `manifest`, `root`. The media: `medium`, `folder`, `memory`.
"""
