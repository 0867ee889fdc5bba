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
# # Predict a chest film
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/01_inference.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/01_inference.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/01_inference.ipynb)
#
# See what MultiMix makes of a chest X-ray: NORMAL or PNEUMONIA, where the lungs are, and what it looked at. Then try your
# own film. All cells together take about ten seconds of one processor core (8 were measured on a server).
# **For research, not for diagnosis.**
#
# The first cell finds the project: in a checkout it installs what is missing, on Colab or Kaggle it fetches it all.

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
from matplotlib_inline.backend_inline import set_matplotlib_formats

import multimix
from multimix.evaluation.figures import show

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 70})  # keeps the notebook small
model = multimix.load_model()

# %% [markdown]
# `model` is the bundled network, ready to predict. The sample below is a real film of an adult.

# %%
p = multimix.predict(model, "sample_data/real_adult_pa.png")
p.plot()
show("A chest film three times: as it is, with both lungs in blue, and with the heat of what moved the class; "
     f"above it the answer, {p.label}")

# %% [markdown]
# **What to see.** The blue fields are the lungs as the network outlines them: without the heart, and without what lies
# behind heart and diaphragm. The heat on the right is the saliency: bright where a small change of grey would move the
# score most. The film shows many round nodules. They are not pneumonia, but the network knows two answers only, and
# these lungs are not its NORMAL. Much of the heat is outside the lungs: `02_saliency` looks into that.

# %% [markdown]
# ## Read the numbers
#
# A prediction holds plain values, and maps of the film's own size.

# %% tags=["nbval-check-output"]
print(f"{p.label}, probability {p.probability:.1f}")
print(f"film {p.film.shape}, mask {p.mask.shape} {p.mask.dtype}, saliency {p.saliency.shape} {p.saliency.dtype}")

# %% [markdown]
# `probability` belongs to `label` and lies between 0.5 and 1; `probabilities` has both classes. It was calibrated on
# validation films of children and adults, as if both classes were equally frequent: on other films 0.9 means *surer than 0.8*, not
# *right in nine of ten*. What was measured, and on whom, stands in `weights/README.md`.
#
# `predict` takes a folder, too. Four of the five samples are synthetic films, whose answers are known.

# %% tags=["nbval-check-output"]
films = multimix.predict(model, "sample_data")
for p in films:
    print(f"{p.name:20} {p.label:10} lungs {p.lung_share:.0%} of the film")

# %% [markdown]
# One of them is missed: `phantom_pneumonia_1` is no NORMAL. The network has learnt from real films, and from few synthetic ones.
# Their exact lungs lie in `sample_data/masks`, so the masks can be scored, too. Dice is twice the overlap over the sum of both
# areas: 1 where the two masks are the same, 0 where they do not meet.

# %% tags=["nbval-check-output"]
from multimix.images.reading import read_mask

for p in films[:4]:
    truth = read_mask([f"sample_data/masks/{p.name}.png"], 512)
    dice = 2 * (p.mask & truth).sum() / (p.mask.sum() + truth.sum())
    print(f"{p.name:20} Dice {dice:.2f}")

# %% [markdown]
# ## How far to trust one answer
#
# A sound answer should survive changes that mean nothing. Here the same film is mirrored, brightened, darkened and cut a
# little at the border.

# %%
film = films[3].film
variants = {"as it is": film, "mirrored": film[:, ::-1], "brighter": 255 * (film / 255) ** 0.7,
            "darker": 255 * (film / 255) ** 1.4, "cut by 5 %": film[26:-26, 26:-26]}
for name, variant in variants.items():
    q = multimix.predict(model, variant.astype("uint8"))
    print(f"{name:10}  PNEUMONIA {q.probabilities['PNEUMONIA']:.2f}  lungs {q.lung_share:.0%}")

# %% [markdown]
# The class survives a mirror and a cut border (`q.warnings` tells of both), but a darker copy is NORMAL: an answer as near to 0.5 as
# this one can be turned by what means nothing, and should be trusted less. Some films are doubtful from the start, and the prediction then says so in plain sentences: here the film is
# given as a negative.

# %% tags=["nbval-check-output"]
print(*multimix.predict(model, 255 - film).warnings, sep="\n")

# %% [markdown]
# ## Your own film
#
# Put a path here: PNG, JPEG, TIFF, GIF, BMP, WebP or DICOM, 8 or 16 bits, grey or colour. On Colab, drag the file into the
# panel of files on the left first.

# %%
FILM = "sample_data/phantom_pneumonia_2.png"  #@param {type:"string"}

p = multimix.predict(model, FILM)
p.plot()
show(f"{FILM} three times: as it is, with both lungs in blue, and with the heat of what moved the class")

# %% [markdown]
# The overlay and the mask can be kept: `p.save("predictions")` writes both as PNG, the mask at the film's own size.
#
# Or use the panel: choose a sample or upload films, wipe the answer off the film, move the
# threshold, zoom on the lungs, click for the values at a point, compare with a true mask, download the mask and the table. In the still
# picture below, the answer is wiped off to the left of the yellow line.

# %%
multimix.Panel()

# %% [markdown]
# ## A folder to a table
#
# One row for each film, for a spreadsheet. `FILMS` may be a folder of your own.

# %%
import csv
from pathlib import Path

FILMS = "sample_data"  #@param {type:"string"}

out = Path("predictions/table.csv")
out.parent.mkdir(exist_ok=True)
with out.open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["film", "label", "probability", "lung_share", "warnings"])
    for p in multimix.predict_iter(model, FILMS):
        table.writerow([p.name, p.label, f"{p.probability:.4f}", f"{p.lung_share:.4f}", " ".join(p.warnings)])

print(out.read_text())

# %% [markdown]
# ## What this cannot do
#
# - It knows NORMAL and PNEUMONIA. Every other disease, a lateral film or a cat gets one of the two.
# - Its pneumonia films came from two collections, children's and adults', its lung masks from adults. Elsewhere, expect less.
# - It has not been compared with a radiologist, and must not replace one.
#
# Next: `02_saliency` shows how the heat is made and what it does for the mask; `03_training` trains the method step by
# step; `04_your_own_data` trains it on folders of your own.
