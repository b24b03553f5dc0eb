"""What things are: names, versions, digests, references, and the files that GitML keeps in git.

Pure: nothing here reads a clock, the environment or a file, but for the JSON schemas that are shipped with the
package. Every format is parsed at this edge into types, so that no other room checks a raw string again.
"""
