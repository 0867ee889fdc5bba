"""Sets of films.

films: `load_films`. film_set: `Films`, `FilmSet`, `FilmStack`. dataset_layouts: `read_layout`, how
folders are recognised; found_films is what it gives. class_folders, mask_folders, jsrt,
table_layouts: the layouts. class_names, folders, film_table, tables, file_finder, patients: what
names on disk mean. left_out, nearest_layout: what a person is told of a folder. splits,
training_films, label_budget: who trains, who keeps a label. cache: reduced films kept on disk.
manifest: which film was used for what. phantom, phantom_anatomy: synthetic films.
"""
