"""One picture in: a film of any file, picture or array, as the grey values the network takes.

reading: `read_film`, `read_mask`, other sides. formats: which files are films; picture files.
dicom: those. grey, masks: values to grey values, and to lungs. preparation: plain borders.
recognition: whether it is a chest film. quality: warnings.
"""
