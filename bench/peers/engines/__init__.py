"""The peers: one module a library, each run as a process of its own."""
