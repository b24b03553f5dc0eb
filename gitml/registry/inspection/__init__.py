"""Looking into the contents of versions without ever loading them: by first bytes, headers, opcodes and footers.

Nothing here imports a framework, unpickles, evaluates or unpacks to disk, and everything is bounded in bytes and in
steps. What cannot be looked into is said to be so; that is a finding, not a failure.
"""
