"""What every command shares: flags, streams, progress, failures, and how text looks."""
