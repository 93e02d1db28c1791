"""One kind of mistake in each module: a function that yields findings about a `Site`."""
