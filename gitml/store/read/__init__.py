"""From a root to the bytes of files, each step checked."""
