"""Sets of films.

films: `load_films`. film_set: what it returns. dataset_layouts: `read_layout`, a folder to films by
paths (the rule of words), film_table or mat; tables: reads any table.
splits: patients, and which films train, validate and test. label_budget: which keep their labels.
training_films, mask_faults: checks. manifest: which film was used for what. cache: reduced films.
film_folder: the films to predict.
"""
