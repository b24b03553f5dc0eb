"""Looking after a store: verify, collect, repack, repair, replicate, purge."""
