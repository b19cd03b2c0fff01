"""What runs have to give: the workflows' results, models of random graphs, and comparisons."""
