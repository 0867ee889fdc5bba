# ---
# jupyter:
#   accelerator: GPU
#   colab:
#     gpuType: T4
#     provenance: []
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
# # Train on films of your own
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/04_your_own_data.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/04_your_own_data.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/04_your_own_data.ipynb)
#
# You have a folder of films with classes, and outlined the lungs in a few others. This notebook takes you from there to a
# trained network, its measured quality and a table of predictions. Synthetic films stand in for yours, so that it runs
# anywhere, offline, in a few minutes on a CPU.

# %% cellView="form" tags=["bootstrap"]
#@title Find the project, or fetch it where the notebook stands alone (Colab, Kaggle)
import os
import runpy

start = next(filter(os.path.isfile, ("notebooks/start.py", "../notebooks/start.py")), "MultiMix/notebooks/start.py")
if not os.path.isfile(start) and os.system("git clone --depth 1 -c multimix.clone=1 https://github.com/aaz-imran/MultiMix MultiMix"):
    raise SystemExit("The project was not fetched. It takes git and the internet (on Kaggle: Settings, Internet on); then run this cell again.")
_ = runpy.run_path(start)

# %% [markdown]
# ## Two folders
#
# Classes as folders, masks beside their films under the same name. Any of these is recognised by itself, with films as PNG,
# JPEG, TIFF, BMP, GIF, WebP, DICOM or `.npy`:
#
# | layout | what lies there |
# |---|---|
# | `chex`, `classes` | `{train,val,test}/{NORMAL,PNEUMONIA}/*` (Kaggle's chest_xray), or the two class folders alone; films, a folder for each patient, or `images/` and `masks/` inside |
# | `images_and_masks` | `images/*` and `masks/*` with the same names, or with `_mask` behind them; in one folder, in each of `{train,val,test}`, or in `train_images`, `train_masks` and so on |
# | `jsrt`, `mat` | `.IMG` or picture files with SCR's `fold1`, `fold2` masks; or `jsrt.mat` |
# | `montgomery`, `shenzhen` | `CXR_png/` with `ManualMask/{leftMask,rightMask}/`, or with `mask/` or `masks/` |
# | `nih`, `rsna`, `chexpert` | ChestX-ray14, RSNA's challenge, CheXpert or VinDr, each with its table |
# | `csv` | a table with the column `path`, and any of `label` (or `normal`, `pneumonia`), `mask`, `patient`, `split`, `view`; or a folder with one such table, or one for each split, also beside `images/` and `masks/` |
# | `flat` | films and nothing else |
#
# Classes of other names? `load_films(..., classes={"Healthy": "NORMAL", "Viral": "PNEUMONIA"})`. What below a folder is not
# read stands in `.left_out`. A film without a class or a mask is an unlabelled one, so any folder may serve either task.
# **Splits on disk stay**, but that a tenth of the training patients joins a validation of fewer than 20 films. Where there are
# none, a tenth of the patients becomes test, and a tenth of the others validation (`.split_rules` says it; JSRT has its own).
# **Whose film it is** tells the table's column `patient`, a folder for each patient, or a file name as Kermany has it
# (`person12_virus_7`, `IM-0115-0001`); any other film counts as a patient of its own. So name the patients in a table if you
# have several films of one.
#
# **Your folders go here.**

# %%
import shutil
from pathlib import Path

from PIL import Image

from multimix.apps.check_data import examine
from multimix.data import phantom

films, lungs = Path("runs/notebook04/films"), Path("runs/notebook04/lungs")

# %% [markdown]
# *For show:* synthetic films are written there. Leave this cell out when you give folders of your own.

# %%
shutil.rmtree("runs/notebook04", ignore_errors=True)
for i in range(240):
    film, mask = phantom.draw(5000 + i, label=i % 2, side=128)
    places = {f"films/{('NORMAL', 'PNEUMONIA')[i % 2]}/patient{i}.png": film}
    if i < 60:
        places = {f"lungs/images/film{i}.png": film, f"lungs/masks/film{i}.png": mask}
    for name, picture in places.items():
        path = Path("runs/notebook04", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)

# %% [markdown]
# ## Let the doctor look first
#
# Damaged files, masks of another size, inverted films, copies and patients in two splits spoil a training silently. The
# doctor reads everything once and tells. Lines with `x` must be mended before training, lines with `?` are worth a look.

# %% tags=["nbval-check-output"]
for folder in (films, lungs):
    print(examine(folder), "\n")

# %% [markdown]
# *For show:* to see it complain, one mask is emptied and one film cut short, in copies.

# %% tags=["nbval-check-output"]
damaged = Path("runs/notebook04/damaged")
for folder in (films, lungs):
    shutil.copytree(folder, damaged / folder.name)
cut_short = damaged / "films" / "NORMAL" / "patient100.png"
cut_short.write_bytes(cut_short.read_bytes()[:2000])
Image.new("L", (128, 128)).save(damaged / "lungs" / "masks" / "film7.png")
for folder in (films, lungs):
    print(examine(damaged / folder.name), "\n")

# %% [markdown]
# ## Read them, and set a budget
#
# Films are reduced once and held in memory, and split, whole patients always.

# %% tags=["nbval-check-output"]
import multimix

data = multimix.load_films(films, lungs, side=64, progress=False)
print(f"classes: {data.classification.counts()}\nmasks:   {data.segmentation.counts()}")

# %% [markdown]
# To see what few labels can do, only 20 of the classes and 5 of the masks are used; the rest serve without. `None` uses all
# of them. The films are small here (64 px) so that it is quick; the published size is 256.

# %%
config = multimix.Config.preset("multimix", recipe="paper", class_labels=20, masks=5, side=64, steps=160,
                                validate_every=40, widths=(8, 16, 32, 64, 64), schedule="cosine",
                                learning_rate=2e-3, ema_decay=0.98, mask_augmentation=True)

# %% [markdown]
# ## Train
#
# One line. The folder `runs/notebook04/run` receives the weights, a log, and a manifest of which film was used for what.

# %%
model = multimix.train(config, data, out="runs/notebook04/run", device="cpu")

# %%
import csv

import matplotlib.pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 85})  # keeps the notebook small
log = list(csv.DictReader(Path("runs/notebook04/run/log.csv").open()))
steps = [int(row["step"]) for row in log]

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
for axis, names in zip(axes, (("classification", "dice", "pseudo_label"), ("val_auc", "val_dice"))):
    for name, style in zip(names, ("o-", "s--", "^:")):
        axis.plot(steps, [float(row[name]) for row in log], style, label=name)
    axis.set_xlabel("step")
    axis.legend()
axes[0].set_title("loss terms, mean since the last validation")
axes[1].set_title("validation films")
plt.show()

# %% [markdown]
# **What to see.** Cross-entropy and Dice loss fall. The pseudo-label term starts at nothing and rises: the surer the network
# gets, the more unlabelled films teach. The validation curves rise, and `best.pth` is the network at their highest point. Where validation falls while the losses still sink, the network learns the few labels by heart: add labels or
# unlabelled films, or stop earlier.

# %% [markdown]
# ## Measure
#
# The test films were not used for anything so far. Look once, at the end.

# %%
results = multimix.evaluate(model, data, "test")
for name in ("auc", "balanced_accuracy", "accuracy", "dice", "jaccard", "asd"):
    low, high = results.intervals[name]
    print(f"{name:20} {results[name]:.3f}   95% interval {low:.3f} to {high:.3f}")

# %% [markdown]
# With some twenty test films a single one moves the accuracy by five points: the intervals say how rough the numbers are.
# AUC is the chance that a film of pneumonia gets a higher probability than a normal one; Dice is the overlap of lungs found
# and outlined, `asd` how many pixels their outlines lie apart. `results` has more of them, and `results.rows` each film.

# %% [markdown]
# ## Use it
#
# The trained file loads like the bundled one. Three test films, which it has never seen:

# %%
model = multimix.load_model("runs/notebook04/run/best.pth")
paths = [films.parent / name for name in data.classification.split("test").names[:3]]
for p in multimix.predict(model, paths):
    print(p.save("runs/notebook04/predictions"), p.label, f"{p.probability:.2f}")

p.plot()
plt.show()

# %% [markdown]
# For a folder of any size, with a table of all answers: `python -m multimix predict FOLDER --weights
# runs/notebook04/run/best.pth`.
#
# ## Again, exactly
#
# The manifest names each film's split, and whether its label was used. Given back, it repeats the same training on another
# machine: `python -m multimix train … --manifest runs/notebook04/run/manifest.csv`.

# %% tags=["nbval-check-output"]
rows = list(csv.DictReader(Path("runs/notebook04/run/manifest.csv").open()))
for task in ("classification", "segmentation"):
    used = [row for row in rows if row["task"] == task and row["split"] == "train" and row["use"] == "labelled"]
    print(f"{task}: {len(used)} labels used in training, the first of {used[0]['film']}")

# %% [markdown]
# ## For real
#
# Give your own folders above, and a recipe: `quick` takes two minutes on two CPU cores (bfloat16), `improved` some four times
# as long; more steps and a larger `side` are better still, where there are many films. A GPU (on Colab: Runtime, Change
# runtime type) is used by itself. The same line with `resume=True` goes on where a training was stopped.
#
# ```python
# config = multimix.Config.preset("multimix", recipe="improved", precision="bfloat16")
# data = multimix.load_films("my/films", "my/lungs", config.side, cache="runs/cache")
# model = multimix.train(config, data, out="runs/mine")
# ```
#
# - A hundred classes and ten masks carried the bundled `multimix_100_10`; besides, keep some for validation and testing, as
#   with fewer than some twenty test films of each kind, no number says much.
# - Unlabelled films cost nothing: take many, of the kind that you will predict.
# - Label budget first on what varies: devices, ages, positions.
# - A split by patient is the least; a test set from another hospital is what tells.
