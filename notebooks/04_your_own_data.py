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
# # Adapt the network to films of your own
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/04_your_own_data.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/04_your_own_data.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/04_your_own_data.ipynb)
#
# A network from elsewhere rarely does at your hospital what it did at home. Here you take a folder of films, have it looked
# through, measure what the bundled network is worth on it, **adapt it with ten labelled films** and measure again; then come a
# threshold for your site and a table of predictions. Synthetic films of another scanner stand in for yours, so that it runs
# anywhere, offline, in about two minutes of one processor core (measured on an Intel Xeon server).

# %% cellView="form" tags=["bootstrap"]
#@title Find the project, or fetch it where the notebook stands alone (Colab, Kaggle)
import os
import runpy

start = next(filter(os.path.isfile, ("notebooks/start.py", "../notebooks/start.py")), "MultiMix/notebooks/start.py")
if not os.path.isfile(start) and os.system("git clone --depth 1 -c multimix.clone=1 https://github.com/aaz-imran/MultiMix MultiMix"):
    raise SystemExit("The project was not fetched. It takes git and the internet (on Kaggle: Settings, Internet on); "
                     "then run this cell again.")
_ = runpy.run_path(start)

# %% [markdown]
# ## Your films
#
# One folder with classes, one with masks of the lungs; it may be the same one. Nothing has to be sorted for this project: class
# folders, `images/` beside `masks/`, a table, and the public sets as they are downloaded are recognised, with films as PNG,
# JPEG, TIFF, BMP, GIF, WebP, DICOM or `.npy`. Films without a class or a mask are welcome: they are the unlabelled ones.
#
# <details><summary>Which folders are recognised, and what makes a patient and a split</summary>
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
# Classes of other names: `load_films(..., classes={"Healthy": "NORMAL", "Viral": "PNEUMONIA"})`. What is not read stands in
# `.left_out`. **Splits on disk stay**, but a tenth of the training patients joins a validation of fewer than 20 films. Where there
# are none, a tenth of the patients becomes test, and a tenth of the others validation (`.split_rules` says it). **Whose film it
# is** tells the column `patient`, a folder for each patient, or a file name as Kermany has it (`person12_virus_7`); any other
# film counts as a patient of its own, so name the patients in a table where you have several films of one.
#
# </details>

# %% cellView="form"
FILMS = ""  #@param {type:"string"}
MASKS = ""  #@param {type:"string"}
SEED = 0  #@param {type:"integer"}
#@markdown Two folders, or nothing: then synthetic films of another scanner are drawn. Another seed draws other patients.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image, ImageFilter

import multimix
from multimix.apps.check_data import examine
from multimix.data import phantom
from multimix.evaluation.figures import CURVE, PREDICTED, TRUE, draw_film, draw_outline, show

set_matplotlib_formats("jpeg", dpi=80, pil_kwargs={"quality": 80})  # keeps the notebook small

# %% [markdown]
# *For show:* the other scanner. It sharpens, as vendors like to: whatever differs from its surroundings (within some 30 px)
# stands out five times as much. A folder of films with a table, as many hospitals would hand it over: **ten films have a class
# and a mask to learn from**, 60 have neither, 20 serve to check, and 160 are there for measuring alone.

# %%
import shutil

work = Path("runs/notebook04")
shutil.rmtree(work, ignore_errors=True)
rows = []
for number, split in enumerate([] if FILMS else ["train"] * 70 + ["val"] * 20 + ["test"] * 160):
    film, mask = phantom.draw(31_000 + 1_000 * SEED + number, number % 2)
    files = {"images": Image.fromarray(film).filter(ImageFilter.UnsharpMask(30, 400, 0)), "masks": Image.fromarray(mask)}
    known = not 10 <= number < 70
    for kind in ("images", "masks") if known else ("images",):
        (work / "site" / kind).mkdir(parents=True, exist_ok=True)
        files[kind].save(work / "site" / kind / f"film{number}.png")
    label = ("NORMAL", "PNEUMONIA")[number % 2] if known else ""
    rows.append({"path": f"images/film{number}.png", "label": label, "patient": f"P{number}", "split": split})

# %%
MASKS = MASKS or FILMS
if rows:
    FILMS = MASKS = str(work / "site")
    pd.DataFrame(rows).to_csv(work / "site" / "films.csv", index=False)
    figure, axes = plt.subplots(2, 6, figsize=(11, 4), layout="constrained")
    for number, pair in enumerate(axes.T):
        draw_film(pair[0], phantom.draw(31_000 + 1_000 * SEED + number, number % 2)[0])
        draw_film(pair[1], Image.open(work / "site" / rows[number]["path"]))
        pair[0].set_title(rows[number]["label"], fontsize=10)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("the usual scanner")
    axes[1, 0].set_ylabel("yours")
    show("Six chest films in two rows: above as the usual scanner draws them, below the same with harsh local contrast.")

# %% [markdown]
# **What to see.** The same patients twice. The disease is the same; what bright and dark mean is not.
#
# ## Let the doctor look first
#
# Damaged files, masks of another size, inverted films, copies and patients in two splits spoil a training silently. The
# doctor reads everything once and tells. Lines with `x` must be mended before training, lines with `?` are worth a look.

# %% tags=["nbval-check-output"]
for folder in dict.fromkeys((FILMS, MASKS)):
    print(examine(folder))

# %% [markdown]
# *For show:* to see it complain, four things are done to a copy: a mask is emptied, a film cut short, a training film slipped
# among the test films under another name, and one patient given a film in two splits.

# %% tags=["nbval-check-output"]
if rows:
    damaged = work / "damaged"
    shutil.copytree(work / "site", damaged)
    Image.new("L", (256, 256)).save(damaged / "masks" / "film7.png")
    cut_short = damaged / "images" / "film75.png"
    cut_short.write_bytes(cut_short.read_bytes()[:2000])
    shutil.copy(damaged / "images" / "film3.png", damaged / "images" / "film101.png")
    table = pd.DataFrame(rows)
    table.loc[120, "patient"] = "P5"
    table.to_csv(damaged / "films.csv", index=False)
    print(examine(damaged))

# %% [markdown]
# ## Say how to adapt
#
# The recipe `quick`, for a network that is there already. Each change of it has its reason beside it.

# %% tags=["nbval-check-output"]
from multimix.batches import Loader

config = multimix.Config.preset(
    recipe="quick",
    side=128,  # px that films are reduced to (the bundled network has 224), to be quick
    steps=60,  # of 25 films each (the recipe: 800)
    learning_rate=5e-4,  # a quarter of the recipe's: a trained network is moved, not made
    ema_decay=0.9,  # the weights are averaged over ten steps or so, not a hundred
    unlabelled_from=0.3,  # unlabelled films join early (the recipe: 0.9): the network can guess already
    validate_every=60,  # once, at the end
    seed=SEED)
films = multimix.load_films(FILMS, MASKS, config.side, progress=False)
print(Loader(films, config).describe())

# %% [markdown]
# If you have more labels than you want to use, `class_labels=10, masks=10` draws that many and leaves the others out as unlabelled.
#
# ## Before
#
# The bundled network on the test films, at the same 128 px, so that both are measured alike. Only here do these 160 films count:
# nothing is learnt or chosen by them.

# %%
bundled = multimix.load_model(device="cpu")
bundled.side, bundled.class_sides = config.side, config.class_sides
found = {"as bundled": multimix.evaluate(bundled, films)}
print(*found["as bundled"].notes, sep="\n")

# %% [markdown]
# The figures stand below, beside those after; `found["as bundled"]` in a cell of its own shows all 24, each with its interval.
#
# ## A threshold for your site
#
# The cheapest step first, without training. A network may order films well and still draw the line between NORMAL and PNEUMONIA in the wrong
# place. Two numbers, fitted to the 20 check films, move it: `operating_point`, the probability from which a film is called PNEUMONIA,
# and `temperature`, by which log-odds are divided, so that a probability means what it says. On the command line:
# `python -m multimix calibrate FOLDER --weights multimix --out mine.pth`.

# %%
from multimix.evaluation.site import calibrate_to_site

try:
    site = calibrate_to_site(bundled, films.labelled("val"))
except ValueError as error:  # too few check films of your own: this step is left out
    print(error)
else:
    print(site.note)
    print(pd.DataFrame({"as bundled": bundled.calibration, "here": site.values}).round(2))
    bundled.calibration = site.values
    found["own threshold"] = multimix.evaluate(bundled, multimix.Films(films.classification))  # the lungs stay as they are

# %% [markdown]
# ## Adapt
#
# One line: `init_from` starts from the bundled weights instead of random ones (`--init multimix` on the command line). The threshold is
# fitted to the check films again, by itself. The folder receives the weights, a log, and a manifest.

# %%
model = multimix.train(config, films, work / "run", init_from=bundled, device="cpu", progress=False)
found["adapted"] = multimix.evaluate(model, films)

# %%
METRICS = {"auc": "AUC", "calibrated_accuracy": "accuracy", "dice": "Dice", "asd": "outlines apart, px"}
lines = {}
for name, results in found.items():
    lines[name] = {}
    for metric, title in METRICS.items():
        if metric in results:
            low, high = results.intervals[metric]
            lines[name][title] = f"{results[metric]:.3f} [{low:.3f}, {high:.3f}]"
table = pd.DataFrame(lines).T
table.fillna("as before")

# %% [markdown]
# **What to see.** 95 % intervals in brackets, over patients; outlines as px of a film of 256. Ten labelled films halve the distance
# between the outlines, and the class is ordered better. One seed may be luck, so it was done with five, of other patients each:
#
# | | as bundled, at its own 224 px | as bundled, at 128 px | adapted, at 128 px |
# |---|---|---|---|
# | AUC | .734 to .765 | .855 to .878 | .909 to .954 |
# | accuracy | .556 to .588 | .756 to .781 | .819 to .863 |
# | Dice | .953 to .962 | .960 to .964 | .979 to .983 |
#
# Smaller films alone help here, as harsh detail is lost in them. Beyond that, adapting raises all three with every seed: the intervals of
# Dice lie apart with five of five, those of AUC with one, but the gain of AUC (.046 to .088), film by film, has an interval above 0
# with five of five. Against 224 px, all intervals lie apart.
#
# A threshold alone changed the accuracy by -.025 to +.019: here the films were in the wrong order, which no threshold mends. It is
# the right tool where the AUC is good and the accuracy is not. **The price**: on 80 films of the usual scanner the Dice falls with every
# seed, from .988 or .989 to between .976 and .983; the AUC changes by -.013 to +.004, the accuracy by -.112 to +.062. Scanner and
# setting were chosen on seed 0; the other seeds came after.

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
tables = [pd.DataFrame(found[name].rows).groupby("task") for name in ("as bundled", "adapted")]
classes, lungs = ([table.get_group(task).reset_index() for table in tables] for task in ("classification", "segmentation"))
for axis, name in zip(axes, ("as bundled", "adapted")):
    for label, colour in (("NORMAL", TRUE), ("PNEUMONIA", PREDICTED)):
        table = classes[name == "adapted"]
        axis.hist(table[table["label"] == label]["probability"], bins=20, range=(0, 1), alpha=0.6, color=colour, label=label)
    axis.axvline(0.5, color="black", ls="--")
    axis.set(title=f"{name}: {1 - table['correct'].mean():.0%} wrong", xlabel="probability of PNEUMONIA", ylabel="films")
axes[0].legend()
axes[2].plot([0, 1], [lungs[0]["dice"], lungs[1]["dice"]], ".-", color="black", lw=0.5, alpha=0.4)
axes[2].set(xticks=[0, 1], xticklabels=["as bundled", "adapted"], ylabel="Dice", title="each film's lungs")
show("Left and middle: probabilities of the test films by true class, before and after. Right: each film's Dice before and after.")

# %% [markdown]
# **What to see.** As bundled, many films of either class lie about the line. Adapted, most have moved to their ends, and fewer to
# the wrong one; a few are wrong and sure. On the right 158 of 160 films have a higher Dice.
#
# The three films whose lungs were worst before:

# %%
worst = lungs[0]["dice"].nsmallest(3).index
figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained")
truth = found["adapted"].segmentation
for axis, index in zip(axes, worst):
    draw_film(axis, truth.pixels[int(index)].numpy())
    draw_outline(axis, truth.masks[int(index)].numpy(), TRUE)
    draw_outline(axis, found["as bundled"].predicted[index], PREDICTED)
    draw_outline(axis, found["adapted"].predicted[index], CURVE)
    axis.set_axis_off()
    axis.set_title(f"Dice {lungs[0]['dice'][index]:.3f}, then {lungs[1]['dice'][index]:.3f}", fontsize=11)
figure.supxlabel("truth green, as bundled red, adapted blue", fontsize=11)
show("Three films with three outlines of the lungs each: true, as bundled, and adapted, which lies closer to the true one.")

# %% [markdown]
# **What to see.** As bundled (red) the network draws the lungs too small, as what sharpening whitens looks like no lung to it. Adapted
# (blue) it follows the true outline, but for opaque parts.
#
# ## Use it
#
# The file loads like the bundled one, threshold inside. Eight films that nobody has labelled (a whole folder goes the same way, or
# `python -m multimix predict FOLDER --weights runs/notebook04/run/best.pth`):

# %%
model = multimix.load_model(work / "run" / "best.pth", device="cpu")
names = [Path(row["path"]) for row in rows if not row["label"]]
some = [Path(FILMS) / name for name in names[:8]] or FILMS
table = multimix.predict_folder(model, some, work / "predictions", recursive=True, figures=False)
columns = ["file", "label", "PNEUMONIA", "lung_share", "right_lung", "left_lung", "expected_dice", "warnings"]
pd.DataFrame(table)[columns].replace({"file": {f"{FILMS}/": ""}}, regex=True)

# %% [markdown]
# `expected_dice` is what the network itself expects of its mask: look at the lowest first. The masks lie beside `predictions.csv`.
#
# ## Again, exactly
#
# The manifest names each film's split, and whether its label was used. Given back (`train … --manifest runs/notebook04/run/manifest.csv`),
# it repeats the same training on another machine.

# %% tags=["nbval-check-output"]
manifest = pd.read_csv(work / "run" / "manifest.csv")
print(manifest.groupby(["task", "split", "use"]).size().to_string())

# %% [markdown]
# ## For real
#
# Set `FILMS` and `MASKS` above and run it again; or, for a training of hours on a GPU (on Colab: Runtime, Change runtime type),
# take `side=224`, the recipe `improved`, and as many labels as you have:
#
# ```bash
# python -m multimix doctor my/films my/lungs
# python -m multimix train --classification my/films --segmentation my/lungs --recipe improved --side 224 \
#     --init multimix --learning-rate 5e-4 --cache runs/cache --out runs/mine
# python -m multimix evaluate --classification my/films --segmentation my/lungs --weights runs/mine/best.pth
# ```
#
# - Unlabelled films cost nothing: take many, of the kind that you will predict.
# - Spend the labels on what varies: devices, ages, positions.
# - With fewer than some twenty test films of each class no number says much; another hospital's films are what tells.
# - An adapted network is one for that site: measure it again before it goes elsewhere.
