"""Sets of films.

films: `load_films`. film_set: `Films`, `FilmSet`, `FilmStack`. dataset_layouts, folders:
`read_layout`, how folders are recognised. splits, label_budget: who trains, who keeps a label.
cache: reduced films kept on disk. manifest: which film was used for what. phantom, phantom_anatomy:
synthetic films.
"""
