"""Programs that run a finished network: what each needs, how it loads the files, and how long it takes."""
