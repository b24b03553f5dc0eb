"""The store room: where the bytes of trees are kept, on any medium, and how they are found again.

Words: a *medium* holds named objects; a *chunk* is a piece of a file, a *pack* an object of many chunks; a
*segment* lists a run of files, a *manifest* the segments of a tree, and a *root* says which tree a version is.
This room knows nothing of git.

Its rooms, each importing only from those before it:

- `media`: the contract of a medium, and the places that keep objects: folders, S3, Azure, others; the local cache
- `formats`: what objects look like, byte by byte
- `write`, `read`: from files to packs and manifests, and back, every step checked
- `place`: trees in folders: planned, written, and looked at again
- `external`: data that stays where it is
- `relocation`: another layout for a tree that keeps its identity
- `store`: a store: trees go in, and are claimed by versions
- `care`: verify, collect, repack, repair, replicate, purge
"""
