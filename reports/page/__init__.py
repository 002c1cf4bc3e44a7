"""The page: everything that records say in one file, for a browser and without a network."""
