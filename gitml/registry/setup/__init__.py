"""Set up a registry and what surrounds it: `gitml.yaml`, hooks, pipelines, and the doctor who judges them."""
