"""Sets of films.

films: `load_films`. film_set: `Films`, `FilmSet`, `FilmStack`. dataset_layouts: `read_layout`, how
folders are recognised. splits, label_budget: who trains, who keeps a label. cache: reduced films
kept on disk. manifest: which film was used for what. phantom: synthetic films.
"""
