"""One picture in: a film of any file, picture or array, as the grey values the network takes.

reading: `read_film`, `read_mask`. formats: which files are films. dicom, pictures: the decoders.
grey, masks: values to grey values, and to lungs. preparation: plain borders. scaling: other sides.
recognition: whether it is a chest film. quality: warnings.
"""
