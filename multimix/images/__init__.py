"""One picture in: what a file holds, as grey values that the network takes.

sources: whatever a person holds, opened. formats: a file of any kind, decoded; pictures, dicom and
its parts: of one kind. grey, masks: values to a film, to lungs. reading: `load_image`, `read_film`,
`read_mask`, `network_input`. size: a film's in cm. quality: `quality_warnings`,
`looks_inverted`. film_folder: the films of a folder. answers: the files that this program writes,
and their names.
"""
