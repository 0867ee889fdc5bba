"""One film's result.

prediction: `Prediction`. outputs: the network is run, its outputs are averaged and cleaned, its
class is explained. lungs: right and left, and how far to trust them. pictures: the overlay, and the
panel's views. output_folder, dicom_seg: the files.
"""
