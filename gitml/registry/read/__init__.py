"""What the registry says of its versions."""
