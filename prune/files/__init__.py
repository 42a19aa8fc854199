"""Reading, writing, locking and recognising whole files. Of the project this imports `prune.errors` only."""
