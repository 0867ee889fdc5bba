# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,cellView,-all
#     notebook_metadata_filter: kernelspec,accelerator,colab,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Predict a chest X-ray
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/01_inference.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/01_inference.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/01_inference.ipynb)
#
# Predict a chest X-ray: NORMAL or PNEUMONIA, and where the lungs are. First real sample films, then your own film, then a
# folder. All cells together take about half a minute. **For research, not for diagnosis.**
#
# Run the cells from top to bottom. The first one finds the project, or fetches it on Colab and Kaggle.

# %% cellView="form" tags=["bootstrap"]
#@title Find the project, or fetch it where the notebook stands alone (Colab, Kaggle)
import os
import runpy

start = next(filter(os.path.isfile, ("notebooks/start.py", "../notebooks/start.py")), "MultiMix/notebooks/start.py")
if not os.path.isfile(start) and os.system("git clone --depth 1 -c multimix.clone=1 https://github.com/aaz-imran/MultiMix MultiMix"):
    raise SystemExit("The project was not fetched. It takes git and the internet (on Kaggle: Settings, Internet on); "
                     "then run this cell again.")
_ = runpy.run_path(start)

# %%
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image

import multimix
from multimix.evaluation.figures import TRUE, draw_film, draw_outline, show
from multimix.predictions.pictures import LUNG

set_matplotlib_formats("jpeg", dpi=80, pil_kwargs={"quality": 70})  # keeps the notebook small
model = multimix.load_model(device="cpu")  # the bundled network

# %%
p = multimix.predict(model, "sample_data/child_viral.jpg")
show(f"One chest X-ray as three pictures: the film, the lungs that the network found, and the explanation of the class. Label: {p.label}", p)

# %% [markdown]
# **What to see.** The film of a child with viral pneumonia; the lungs that the network outlines, in light blue; and the explanation of the
# class: orange speaks for PNEUMONIA, dark blue against it. The explanation shows what this network's class depends on, not where the
# disease is (`02_saliency` tests it). R and L are the patient's right and left. The percentages are each lung's share of the film
# (`lung_share`: both). *Expected Dice* is explained below.
#
# ## Read the numbers
#
# A prediction holds plain values, and maps with the size of the film.

# %% tags=["nbval-check-output"]
print(f"{p.label}, probability {p.probability:.2f}")
print(f"film {p.film.shape}, mask {p.mask.shape} {p.mask.dtype}, explanation {p.explanation.shape} {p.explanation.dtype}")

# %% [markdown]
# `probability` belongs to `label` and lies between 0.5 and 1. `probabilities` has both classes. They are calibrated: the network's raw
# probabilities were corrected with validation films of two collections. On films from other hospitals, read 0.9 as *more certain than
# 0.8*, not as *right in nine of ten cases*.
#
# ## Nine films with known truth
#
# `films.csv` lists the samples, with their true class and their view: PA, X-rays from behind; AP, from the front; supine, lying; portable, at
# the bed. Six films also have lungs outlined by hand. **Dice** compares two masks: 1 means equal, 0 means no overlap.
#
# The later notebooks use the **AUC**: the chance that a film with pneumonia scores above one without (0.5: guessing). Sensitivity: the
# share of pneumonias found. Specificity: the share of NORMAL films called NORMAL. Recall of lung: the share of lung found.

# %%
def dice(mask, other):
    return 2 * (mask & other).sum() / (mask.sum() + other.sum())


table = pd.read_csv("sample_data/films.csv", keep_default_na=False)
found = [multimix.predict(model, f"sample_data/{path}") for path in table["path"]]
hand = [np.array(Image.open(f"sample_data/{mask}")) > 0 if mask else None for mask in table["mask"]]
table["label"] = [p.label for p in found]
table["probability"] = [round(p.probability, 2) for p in found]
table["Dice"] = ["" if mask is None else round(dice(p.mask, mask), 2) for p, mask in zip(found, hand)]
table[["path", "truth", "label", "probability", "Dice", "view"]]

# %% [markdown]
# **What to see.** Seven labels of eight are right. `child_normal_2` is a false alarm: the film is NORMAL, and the network says
# PNEUMONIA, with a probability of .60. `real_adult_pa` shows many nodules, which are neither class. The network has only two classes, so it has to choose one.
#
# This network was started from one that had learnt from `child_bacterial`; so the right label of that film proves nothing.

# %%
figure, axes = plt.subplots(2, 3, figsize=(11, 7), layout="constrained")
for axis, number in zip(axes.flat, table.index[table["mask"] != ""]):
    draw_film(axis, found[number].film)
    draw_outline(axis, hand[number], TRUE)
    draw_outline(axis, found[number].mask, LUNG)
    axis.set_title(f"truth {table['truth'][number]}, predicted {table['label'][number]}\nDice {table['Dice'][number]}", fontsize=10)
    axis.set_axis_off()
show("Six chest X-rays with two outlines of the lungs each: green by hand, light blue by the network. The two outlines are "
     "close, also behind the heart and in white lungs")

# %% [markdown]
# **What to see.** The green line is the outline by hand, the light blue one the network's. The Dice is .96 to .98. Both outlines contain whole
# lungs, also behind the heart and where pneumonia makes them white. The largest differences are at the edges of white lungs. On healthy adults
# of the sets JSRT and Montgomery, the network leaves out the lung behind the heart, as some of its training outlines do.
#
# ## How stable is a prediction?
#
# A good prediction should survive changes that mean nothing. Here one film is mirrored, made brighter or darker, and cut at
# its border.

# %%
film = multimix.predict(model, "sample_data/adult_nih_normal.jpg").film
variants = {"as it is": film, "mirrored": film[:, ::-1], "brighter": 255 * (film / 255) ** 0.7,
            "darker": 255 * (film / 255) ** 1.4, "cut by 5 %": film[51:-51, 51:-51], "negative": 255 - film}
for name, variant in variants.items():
    q = multimix.predict(model, variant.astype("uint8"))
    print(f"{name:10}  PNEUMONIA {q.probabilities['PNEUMONIA']:.2f}  lungs {q.lung_share:.0%}  {' '.join(q.warnings)}")

# %% [markdown]
# **What to see.** The probability moves by a few hundredths, and the label stays. The last film was given as a negative, and `predict`
# turned it back, with a warning. The closer a probability is to 0.5, the easier a small change can turn the label.
#
# ## Your own film
#
# Press the button, choose a film, and run the cell after it again. Or write a path into `FILM`, and run both cells. PNG, JPEG, TIFF, GIF,
# BMP, WebP and DICOM work, with 8 or 16 bits. The film stays on the machine where this notebook runs; on Colab that is Google's, so remove
# names first. (`p.save("predictions")` writes the picture and the mask.)
#
# Paths start in the project's folder. On Colab that is `/content/MultiMix`: a film that you upload to the list of files is `../film.png`.

# %%
from ipywidgets import FileUpload

FILM = "sample_data/adult_nih_pneumonia.jpg"  #@param {type:"string"}
upload = FileUpload(accept="image/*,.dcm,.npy", multiple=False)
upload

# %%
files = list(upload.value.values() if isinstance(upload.value, dict) else upload.value)
p = multimix.predict(model, bytes(files[0]["content"]) if files else FILM)
show(f"Your film as three pictures: the film, its lungs, and its explanation. Label: {p.label}", p)
print(p)

# %% [markdown]
# **What to see.** The outline is rated *good* and has a warning: trust the warning. At the lower right it is wrong.
#
# The panel below does the same with buttons and sliders, and in Jupyter also with the mouse. Choose a film, switch between lungs, film and
# explanation, move the threshold, zoom, change brightness and contrast, and download the mask and the table.

# %%
multimix.Panel()

# %% [markdown]
# ## A folder as a table
#
# `predict_folder` writes masks and `predictions.csv`, and without `figures=False` also pictures. `FILMS` may be a folder of your own, with
# films of any kind named above; on Colab, upload a zip to `/content`, run `!unzip -j ../my.zip -d ../my`, and write `../my`. The first line of
# the output says what was left out; `recursive=True` (on the command line `--recursive`) also reads the folders below. Colab deletes all
# files when the session ends: download `MultiMix/runs/notebook01.zip` from the list of files on the left.

# %%
FILMS = "sample_data"  #@param {type:"string"}

out = Path("runs/notebook01")
shutil.rmtree(out, ignore_errors=True)  # of an earlier run
multimix.predict_folder(model, FILMS, out, figures=False, on_left_out=print)
shutil.make_archive(out, "zip", out)
table = pd.read_csv(out / "predictions.csv", keep_default_na=False)
table[["file", "label", "PNEUMONIA", "lung_share", "expected_dice", "quality", "warnings"]].round(2)

# %% [markdown]
# `expected_dice` estimates the Dice with an outline by hand, from the network's doubt and the outline's shape. `quality` rates it: *good*,
# *check* or *poor*. Look at the lowest values and at the warnings first. An outline with a warning may be wrong, even if it is *good*.
#
# ## Limits
#
# - There are two classes. A tumour or a side view gets one of them. Tuberculosis is usually called NORMAL.
# - At other hospitals, expect more false alarms and more missed films (`04_your_own_data` measures this).
# - The network has not been compared with a radiologist.
#
# Next: `02_saliency` tests the explanation and four other heat maps. `03_training` trains the method. `04_your_own_data` adapts the network to other films.
