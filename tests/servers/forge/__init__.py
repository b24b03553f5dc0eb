"""A double of the hosted forges: the REST API of each vendor over a bare git repository in which it really merges."""
