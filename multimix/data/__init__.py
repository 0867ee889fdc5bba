"""Sets of films: folders, splits, manifests, phantoms."""
