"""Pictures of what the workflows of `real` find: a module for each, drawn with Matplotlib.

Each has a function ``draw(outputs)``, which gets the outputs of a run and returns a figure.
``python -m d4py_examples.pictures FOLDER`` runs all workflows and writes all pictures.
"""
