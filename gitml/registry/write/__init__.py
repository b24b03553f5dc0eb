"""What is committed to the registry: versions, aliases, deprecations."""
