"""Sets of films.

films: `load_films`. film_set: what it returns. dataset_layouts: `read_layout`, a folder to
films found by paths (the rule of words) and tables. film_folder: the films to predict.
"""
