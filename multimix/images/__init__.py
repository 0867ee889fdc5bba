"""One picture in: what a file holds, as grey values that the network takes.

formats: a file of any kind, decoded. reading: `load_image`, `read_film`, `read_mask`,
`network_input`. quality: `quality_warnings`, `looks_inverted`.
"""
