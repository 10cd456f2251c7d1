"""Tables of results, as sheets and as files."""
