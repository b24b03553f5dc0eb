"""Look after stores and what they hold: verify, repair, replicate, collect, forget."""
