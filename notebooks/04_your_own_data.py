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
# # Adapt the network to your own films
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/04_your_own_data.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/04_your_own_data.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/04_your_own_data.ipynb)
#
# At another hospital a network is usually worse than at home. Here you measure that on real films of adults, adapt a bundled network with
# ten labelled and ten outlined films, and measure again. The same cells work with your own folders. All cells take one to
# two minutes on two idle cores.
#
# The network here is `multimix_100_10`, which has learnt from no film of these hospitals. `multimix`, the default, has learnt from about
# half of the outlined films below, so they cannot measure it. For your own films, choose `multimix`.

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

import multimix
from multimix.apps.check_data import examine
from multimix.data.dataset_layouts import read_layout
from multimix.evaluation.evaluator import calibrate_to_site
from multimix.evaluation.figures import CURVE, PREDICTED, TRUE, draw_film, draw_outline, show

set_matplotlib_formats("jpeg", dpi=80, pil_kwargs={"quality": 70})  # keeps the notebook small

# %% cellView="form"
FILMS = "sample_data/adults/nih"  #@param {type:"string"}
MASKS = "sample_data/adults/outlined"  #@param {type:"string"}
NETWORK = "multimix_100_10"  #@param ["multimix", "multimix_open", "multimix_100_10"]
LABELS = 10  #@param {type:"integer"}
OUTLINES = 10  #@param {type:"integer"}
SEED = 0  #@param {type:"integer"}
#@markdown A folder of films with classes, one with outlined lungs (it may be the same), and how many labels and outlines train (0: all). Another seed draws other patients.
bundled = multimix.load_model(NETWORK, device="cpu")
some = [path for folder in (FILMS, MASKS) for path in sorted(film.source for film in read_layout(folder).films)[:4]]
figure, axes = plt.subplots(2, 4, figsize=(10, 5.4), layout="constrained")
for axis, p in zip(axes.flat, multimix.predict(bundled, some)):
    draw_film(axis, p.film)
    draw_outline(axis, p.mask, PREDICTED)
    axis.set(title=f"{p.label} {p.probability:.2f}", xticks=[], yticks=[])
show("Eight chest X-rays of adults with the lungs as the bundled network outlines them, and its class above each")

# %% [markdown]
# **What to see.** Upper row: adults of the NIH Clinical Center. Their true classes (not shown) were read from reports by a program,
# so some are wrong. Lower row: from Hannover and journals, outlined by hand (V7 Labs).
#
# Paths start in the project's folder. On Colab, upload a zip to `/content` and run `!unzip ../my.zip -d ../my` (`FILMS` is `../my`), or
# mount Drive (`/content/drive/MyDrive/my`).
#
# <details><summary>Which folders of your own work</summary>
#
# | you have | write |
# |---|---|
# | class folders | `{train,val,test}/{NORMAL,PNEUMONIA}/*`, or the two class folders alone |
# | films and masks | `images/*` and `masks/*` with the same names |
# | a table | a CSV with the column `path`, and any of `label`, `mask`, `patient`, `split`, `view` |
# | a public set | Kaggle's chest_xray, JSRT, Montgomery, Shenzhen, ChestX-ray14, RSNA, CheXpert as downloaded |
# | other class names | rename the folders `NORMAL` and `PNEUMONIA` |
#
# Films without a class or mask are unlabelled. Name the patients in a table, so that a patient's films stay in one split.
# </details>
#
# ## Check the films first (`doctor`)
#
# `doctor` finds damaged files, empty masks, inverted films, copies, and patients in two splits: they worsen a network without an error.
# Fix lines with `x` before training; look at lines with `?`. It names the usual split; the samples get another below.

# %% tags=["nbval-check-output"]
for folder in dict.fromkeys((FILMS, MASKS)):
    print(folder, examine(folder), sep="\n", end="\n\n")

# %% [markdown]
# ## Ten films to learn from, the rest to measure
#
# Your own folders keep their splits, or get them by patient, and `LABELS` and `OUTLINES` of the training films keep theirs. The samples get
# splits here: ten labelled films and ten outlined patients to train, some to validate, the rest to test. Of these patients' 23 films 13 count
# as unlabelled.

# %%
work = Path("runs/notebook04")
shutil.rmtree(work, ignore_errors=True)
work.mkdir(parents=True)

def with_splits(folder, train, val, by):
    table = pd.read_csv(Path(folder) / "films.csv").sample(frac=1, random_state=SEED)
    for column in {"path", "mask"} & set(table):
        table[column] = [str((Path(folder) / path).resolve()) for path in table[column]]
    number = table.groupby(by)["patient"].transform(lambda patients: pd.factorize(patients)[0]) if by else pd.factorize(table["patient"])[0]
    table["split"] = np.select([number < train, number < train + val], ["train", "val"], "test")
    table.to_csv(work / f"{Path(folder).name}.csv", index=False)
    return work / f"{Path(folder).name}.csv"

tables = [with_splits(folder, *numbers) if folder.startswith("sample_data/adults") else folder
          for folder, *numbers in ((FILMS, 5, 10, "label"), (MASKS, 10, 8, None))]

# %% tags=["nbval-check-output"]
config = multimix.Config.preset(
    recipe="quick", side=128, sides=(128,), class_sides=(128,),  # px; the bundled network has more
    class_labels=LABELS or None, masks=OUTLINES or None, seed=SEED,
    steps=40,  # the recipe has 800, from random weights
    learning_rate=5e-4,  # a quarter of the recipe's
    ema_decay=0.9,  # averages the weights of about ten steps
    unlabelled_from=0.5, validate_every=40)
films = multimix.load_films(*tables, config.side, progress=False)
for name, part in (("class", films.classification), ("lungs", films.segmentation)):
    print(name, {split: part.splits.count(split) for split in ("train", "val", "test")})

# %% [markdown]
# ## Measure, move the threshold, adapt
#
# Three ways, on the same test films at 128 px:
#
# 1. **as bundled**;
# 2. **own threshold**: two numbers fitted to the validation films move the line between NORMAL and PNEUMONIA, without training
#    (`python -m multimix calibrate`);
# 3. **adapted**: trained from the bundled weights (`init_from`; `--init multimix` on the command line).
#
# The last two rows of the table show **the price at home**: the 160 children's test films of `sample_data/small`.

# %%
bundled.info.side, bundled.info.class_sides = config.side, config.class_sides
home = multimix.load_films("sample_data/small", "sample_data/small", config.side, progress=False)
found = {"as bundled": multimix.evaluate(bundled, films), "at home, as bundled": multimix.evaluate(bundled, home)}
adapted = multimix.train(config, films, work / "run", init_from=bundled, device="cpu", progress=False)
bundled.info.calibration, note = calibrate_to_site(bundled, films.labelled("val"))
found["own threshold"] = multimix.evaluate(bundled, multimix.Films(films.classification))  # the lungs stay as they are
found |= {"adapted": multimix.evaluate(adapted, films), "at home, adapted": multimix.evaluate(adapted, home)}

# %%
METRICS = {"auc": "AUC", "calibrated_accuracy": "accuracy", "calibrated_sensitivity": "sensitivity",
           "calibrated_specificity": "specificity", "dice": "Dice", "recall": "recall of lung"}
rows = {}
for name in ("as bundled", "own threshold", "adapted", "at home, as bundled", "at home, adapted"):
    rows[name] = {}
    for metric, title in METRICS.items():
        if metric in found[name]:
            low, high = found[name].intervals[metric]
            rows[name][title] = f"{found[name][metric]:.2f} [{low:.2f}, {high:.2f}]"
pd.DataFrame(rows).T.fillna("as before")

# %% [markdown]
# **What to see.** In brackets: 95 % intervals over patients (the measures: `01_inference`). The adapted network differs a little between
# machines.
#
# - **Lungs**: ten outlines help much. This network learnt outlines without the part behind the heart, and here the whole lung is wanted.
#   The Dice rises from .85 to about .92, the recall from .76 to about .9.
# - **Class**: ten labels are hardly enough. As bundled, it is no better than a guess (AUC .56; .97 at home). Adapted, the AUC is
#   higher, but the intervals overlap: it still misses many pneumonias (sensitivity) and calls many NORMAL films PNEUMONIA (specificity). A
#   threshold helps little, because sick and healthy films have similar scores.
# - **The price at home** (the last two rows): the accuracy on children hardly changes, but here more pneumonias are missed (sensitivity),
#   for fewer false alarms. Their lungs gain, as these outlines follow the same convention.
#
# This is one seed.
#
# The default, `multimix`, needs no such step for the lungs: on 41 of these films, held back from its training, its Dice is .93
# ([model card](https://github.com/aaz-imran/MultiMix/blob/main/weights/README.md)).

# %%
lungs = [pd.DataFrame(found[name].rows).query("task == 'segmentation'").reset_index() for name in ("as bundled", "adapted")]
worst = lungs[0]["dice"].nsmallest(4).index
truth = found["adapted"].segmentation
figure, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained")
for axis, index in zip(axes, worst):
    draw_film(axis, truth.pixels[int(index)].numpy())
    draw_outline(axis, truth.masks[int(index)].numpy(), TRUE)
    draw_outline(axis, found["as bundled"].predicted[index], PREDICTED)
    draw_outline(axis, found["adapted"].predicted[index], CURVE)
    axis.set_axis_off()
    axis.set_title(f"Dice {lungs[0]['dice'][index]:.2f}, then {lungs[1]['dice'][index]:.2f}", fontsize=10)
figure.supxlabel("by hand green, as bundled orange, adapted blue", fontsize=10)
show("The four films with the worst lungs as bundled, with three outlines each: by hand, as bundled, and adapted")

# %% [markdown]
# **What to see.** As bundled (orange), the outline misses the part behind the heart and white lungs, and takes parts of the belly for lung.
# Adapted (blue), it is closer to the one by hand (green), but its lower edge is wrong in places.
#
# ## Use it
#
# `best.pth` loads like the bundled network, with its threshold inside. In a cell:
# `!python -m multimix predict FOLDER --weights runs/notebook04/run/best.pth`.

# %%
model = multimix.load_model(work / "run" / "best.pth", device="cpu")
multimix.predict_folder(model, some, work / "predictions", figures=False)
shutil.make_archive(work / "predictions", "zip", work / "predictions")
columns = ["file", "truth", "label", "PNEUMONIA", "lung_share", "expected_dice", "warnings"]
pd.read_csv(work / "predictions" / "predictions.csv", keep_default_na=False)[columns].round(2)

# %% [markdown]
# **What to see.** Three of the eight films show pneumonia (`truth`). The adapted network calls all eight NORMAL; as bundled, it found one
# pneumonia, with three false alarms. After ten labels, use the outlines and not the class. Colab deletes all files when the session ends:
# download `predictions.zip` and `run/best.pth` from `MultiMix/runs/notebook04` (list of files, left).
#
# ## For your hospital
#
# Set `FILMS` and `MASKS` above, and `LABELS` and `OUTLINES` to 0: all of yours. These cells train 40 steps at 128 px on the CPU. For the
# best result take a GPU and larger films (in Colab: a cell that begins with `%%bash`):
#
# ```bash
# python -m multimix doctor my/films my/lungs
# python -m multimix train --classification my/films --segmentation my/lungs \
#     --recipe improved --side 224 --init multimix --learning-rate 5e-4 --out runs/mine
# python -m multimix evaluate --classification my/films --segmentation my/lungs \
#     --weights runs/mine/best.pth
# ```
#
# - Outline and label films that differ: devices, ages, positions.
# - Use many unlabelled films of the kind that you predict.
# - With fewer than twenty test films of each class, no number says much.
# - An adapted network is for that hospital: measure it again elsewhere.
