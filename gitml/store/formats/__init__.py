"""What objects look like, byte by byte: chunks, packs, segments, manifests and roots."""
