"""Sets of films.

films: `load_films`, and the cache of reduced films. film_set: what it returns. dataset_layouts: a
folder to films by paths (the rule of words), tables, or a .mat file. splits: patients, and which
films train, validate and test. training_films: checks, labels, manifests. film_folder: any films.
"""
