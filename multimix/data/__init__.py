"""Sets of films.

films: `load_films`, and the cache of reduced films. film_set: what it returns. dataset_layouts:
`read_layout`, a folder to films by paths (the rule of words), tables, or a .mat file. splits:
patients, and which films train, validate and test. training_films: checks, and which films keep
their labels; the manifest. film_folder: the films to predict.
"""
