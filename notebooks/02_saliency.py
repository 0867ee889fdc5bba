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
# # What do heat maps show?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/aaz-imran/MultiMix/blob/main/notebooks/02_saliency.ipynb)
# [![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)](https://kaggle.com/kernels/welcome?src=https://github.com/aaz-imran/MultiMix/blob/main/notebooks/02_saliency.ipynb)
# [![Open in Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/aaz-imran/MultiMix/main?labpath=notebooks/02_saliency.ipynb)
#
# A heat map on an X-ray looks like an explanation. Is it one? Here five kinds are drawn on real films and tested. All cells
# take about half a minute on two idle CPU cores.
#
# **The result first.** The **explanation**, the third picture of every prediction, marks best what the class depends on. Gradient times film
# and occlusion follow. The plain gradient, which MultiMix uses inside, is little better than a random map, and class activation is worse.
# No map shows where a disease is.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.colors import LinearSegmentedColormap
from matplotlib_inline.backend_inline import set_matplotlib_formats
from PIL import Image, ImageFilter

import multimix
from multimix.evaluation.figures import TRUE, draw_outline, show
from multimix.model import CLASSES, bridge_maps
from multimix.predictions.outputs import explain

set_matplotlib_formats("jpeg", dpi=80, pil_kwargs={"quality": 70})  # keeps the notebook small

# %% [markdown]
# The third picture of this prediction is its explanation, `p.explanation`.

# %%
model = multimix.load_model(device="cpu")
show("One chest X-ray as three pictures: the film, the lungs that the network found, and its explanation in orange and blue",
     multimix.predict(model, "sample_data/child_bacterial.jpg"))

# %% [markdown]
# **What to see.** A child with bacterial pneumonia; the lung on the right of the picture is white. Orange speaks for PNEUMONIA,
# blue against it. Orange is in both lungs, and strongest in the one that is less white; blue is at neck and shoulder. This network was
# started from one that had learnt from this film; so its right class proves nothing.
#
# ## The saliency inside the network
#
# MultiMix itself uses another map, the *saliency*: how much the class score changes if a pixel changes a little. It is the size of
# the score's gradient, and two lines compute it.
#
# From here on, probabilities are raw, and of one film size. `predict` calibrates the mean over three sizes, so its probabilities differ.

# %% tags=["nbval-check-output"]
SIDE = 224  # px, the size of the network's input

def as_input(picture):
    grey = np.array(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return torch.from_numpy(grey.astype("float32") / 127.5 - 1)[None, None]

x = as_input(Image.open("sample_data/child_bacterial.jpg")).requires_grad_()
score = model.classify(x).max()
by_hand = torch.autograd.grad(score, x)[0].abs()
print("the same map:", torch.allclose(by_hand, model(x).saliency, atol=1e-6))
figure, axes = plt.subplots(1, 2, figsize=(6, 3.1), layout="constrained")
for axis, name, picture in zip(axes, ("film", "saliency"), (x, by_hand)):
    axis.imshow(picture[0, 0].detach(), cmap="gray")
    axis.set(title=name, xticks=[], yticks=[])
show("A chest X-ray, and its saliency: a cloud of white dots on black")

# %% [markdown]
# **What to see.** A cloud of dots, densest in the lung on the left.
#
# ## Five maps
#
# All but the first say how much each of 14 x 14 squares (*cells*) speaks **for** or against the predicted class.
#
# - **Gradient**: the saliency. It gives only size, no sign.
# - **Gradient times film**: the gradient of the log-odds (the predicted class's score less the other's), times the film's difference from its
#   mean grey.
# - **Class activation**: the deepest feature maps (14 x 14), weighted as the class head weights them.
# - **Occlusion**: replace one block after another by a blurred film, and note how far the log-odds fall.
# - **Explanation**: integrated gradients (Sundararajan and others 2017), the mean gradient of four films between a blurred film and the
#   film, times the difference of these two.

# %%
def log_odds(films, label):
    logits = model.classify(films)
    return logits[:, label] - logits[:, 1 - label]

def replaced(film, blurred, cells):  # cells (M, 14, 14) bool: where the blurred film stands
    there = F.interpolate(cells[:, None].float(), SIDE)
    return film * (1 - there) + blurred * there

def occlusion(film, blurred, label, reach=3):  # blocks of 7 x 7 cells, at every second row and column
    cells = torch.zeros(7, 7, 14, 14, dtype=torch.bool)
    for row, column in np.ndindex(7, 7):
        cells[row, column, max(2 * row - reach, 0):2 * row + reach + 1, max(2 * column - reach, 0):2 * column + reach + 1] = True
    films = replaced(film, blurred, cells.flatten(0, 1))
    fall = log_odds(film, label) - torch.cat([log_odds(part, label) for part in films.split(7)])
    return F.interpolate(fall.view(1, 1, 7, 7), 14, mode="bilinear")[0, 0]

# %%
def five_maps(film, blurred, label):
    pixels = film.clone().requires_grad_()
    gradient, = torch.autograd.grad(log_odds(pixels, label).sum(), pixels)
    with torch.no_grad():
        weights = model.encoder.fc.weight[label] - model.encoder.fc.weight[1 - label]
        activation = (weights.view(1, -1, 1, 1) * model.encoder(film)[1][4]).sum(1, keepdim=True)
        maps = {"gradient": F.avg_pool2d(model.saliency(film), 16)[0, 0],
                "gradient x film": F.avg_pool2d(gradient * (film - film.mean()), 16)[0, 0],
                "class activation": activation[0, 0], "occlusion": occlusion(film, blurred, label),
                "explanation": explain(model, film)[0, 0] * (1 if CLASSES[label] == "PNEUMONIA" else -1)}
    return maps | {"random order": torch.rand(14, 14, generator=torch.Generator().manual_seed(0))}

# %%
table = pd.read_csv("sample_data/films.csv", keep_default_na=False)
cases = []
for row in table[table["mask"] != ""].itertuples():
    picture = Image.open(f"sample_data/{row.path}").convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    film, blurred = as_input(picture), as_input(picture.filter(ImageFilter.GaussianBlur(16)))
    lungs = np.array(Image.open(f"sample_data/{row.mask}").resize((SIDE, SIDE), Image.Resampling.NEAREST)) > 0
    label = int(model.classify(film).argmax())
    cases.append({"row": row, "film": film, "blurred": blurred, "lungs": lungs, "label": label, "maps": five_maps(film, blurred, label)})

# %%
colours = LinearSegmentedColormap.from_list("PNEUMONIA", ["#0072B2", "white", "#E69F00"])
figure, axes = plt.subplots(2, 4, figsize=(11, 6), layout="constrained")
for line, case in zip(axes, (cases[0], cases[3])):
    line[0].set_ylabel(f"{case['row'].path}\npredicted {CLASSES[case['label']]}", fontsize=9)
    for axis, name in zip(line, ("gradient x film", "class activation", "occlusion", "explanation")):
        heat = F.interpolate(case["maps"][name][None, None], SIDE, mode="bilinear")[0, 0].numpy()
        heat = heat if CLASSES[case["label"]] == "PNEUMONIA" else -heat
        axis.imshow(case["film"][0, 0], cmap="gray")
        limit = np.abs(heat).max()
        axis.imshow(heat, cmap=colours, vmin=-limit, vmax=limit, alpha=0.5)
        draw_outline(axis, case["lungs"], TRUE)
        axis.set(title=name, xticks=[], yticks=[])
show("Two films with four of the five maps each, orange for PNEUMONIA and blue against it, lungs outlined in green. The maps "
     "mark different places")

# %% [markdown]
# **What to see.** Green is the outline by hand. The maps differ. In the white lung of the lower film, class activation is blue and occlusion
# orange: they contradict each other.
#
# ## Which map marks what counts?
#
# **Deletion** replaces the cells that a map marks most by a blurred film, more and more of them. With a good map the probability of the
# predicted class falls fast. **Insertion** starts with the blurred film and brings back the same cells first; a good map makes the
# probability rise fast (RISE, Petsiuk and others 2018).

# %%
shares = torch.tensor([0, 0.05, 0.1, 0.2, 0.3, 0.5])
curves = {name: {"deletion": 0, "insertion": 0, "inside the lungs": 0} for name in cases[0]["maps"]}
for case in cases:
    for name, heat in case["maps"].items():
        rank = heat.flatten().argsort(descending=True).argsort().view(14, 14)
        first = torch.stack([rank < share * 196 for share in shares])
        for test, cells in (("deletion", first), ("insertion", ~first)):
            with torch.no_grad():
                chance = log_odds(replaced(case["film"], case["blurred"], cells), case["label"]).sigmoid()
            curves[name][test] += chance / len(cases)
        for_class = F.interpolate(heat.clamp(min=0)[None, None], SIDE)[0, 0].numpy()
        curves[name]["inside the lungs"] += for_class[case["lungs"]].sum() / for_class.sum() / len(cases)

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for name, found in curves.items():
    for axis, test in zip(axes, ("deletion", "insertion")):
        axis.plot(shares, found[test], "k--" if name == "random order" else ".-", label=name)
        axis.set(title=test, xlabel=f"share of cells {'removed' if test == 'deletion' else 'brought back'}")
axes[0].set_ylabel("probability of the predicted class")
axes[0].legend(fontsize=8)
show("Deletion and insertion curves of the six orders, mean over six films")
numbers = {name: {"deletion (lower is better)": found["deletion"][1:].mean().item(),
                  "insertion (higher is better)": found["insertion"][1:].mean().item(),
                  "share inside the lungs": found["inside the lungs"]} for name, found in curves.items()}
pd.DataFrame(numbers).T.round(2)

# %% [markdown]
# **What to see.** The table has each curve's mean height without its first point, and how much of a map's 'for' lies in the lungs, which is
# not a quality. The lungs fill about a third of the pictures (see *random order*).
#
# - **Explanation**: best in both tests, for about a third of a prediction's time.
# - **Occlusion**: nearly as good here, but coarse, and the network runs 49 times.
# - **Gradient times film**: better than random in both, for one gradient.
# - **Gradient**: better than random in deletion, but here not in insertion.
# - **Class activation**: worse than random. Each of its features sees much of the film.
#
# Six films are few. On 200 validation films ([table](https://github.com/aaz-imran/MultiMix/blob/main/tests/benchmarks/README.md)), deletion and
# insertion are .48 and .84 for the explanation, .61 and .71 for gradient times film, .62 and .70 for occlusion (at 96 px), .73 and .63 for the
# gradient, .80 and .56 for a random order, and .86 and .55 for class activation. Occlusion and explanation blur the film as the test does, so
# the test favours both.
#
# ## What the saliency does inside the network
#
# MultiMix sends film and saliency to the decoder that outlines the lungs (the *saliency bridge*), as two pictures of 28 x 28. Does
# the decoder use them? Replace them, and count the pixels of the mask that change.

# %%
rows = {}
for case in cases:
    with torch.no_grad():
        out, maps = model(case["film"]), model.encoder(case["film"])[1]
        usual, bridge = out.mask_logits > 0, bridge_maps(case["film"], out.saliency)
        other = {"no saliency": bridge * torch.tensor([1, 0]).view(1, 2, 1, 1), "saliency x 100": bridge * torch.tensor([1, 100]).view(1, 2, 1, 1),
                 "no film, no saliency": torch.zeros_like(bridge)}
        rows[case["row"].path] = {name: int((usual != (model.decoder(maps, b) > 0)).sum()) for name, b in other.items()}
pd.DataFrame(rows).T

# %% [markdown]
# **What to see.** Without the saliency, hardly any of the 50,176 pixels changes: this decoder does not use it. A hundred times as
# strong, it changes about a hundred at most. Without both pictures of the bridge, some thirty change at most. The bundled network outlines
# the lungs from the encoder's features.
#
# ## Does the class come from the lungs?
#
# Replace the lungs, or all but the lungs, by the film's mean grey, and predict again.

# %%
rows = {}
for case in cases:
    lungs, grey = torch.from_numpy(case["lungs"]), case["film"].mean()
    parts = [case["film"], torch.where(lungs, case["film"], grey), torch.where(lungs, grey, case["film"])]
    with torch.no_grad():
        chance = model.classify(torch.cat(parts)).softmax(1)[:, 1]
    rows[case["row"].path] = dict(zip(("whole film", "lungs alone", "without lungs"), chance.numpy().round(2))) | {"truth": case["row"].truth}
print("raw probability of PNEUMONIA")
pd.DataFrame(rows).T

# %% [markdown]
# **What to see.** The lungs alone keep every label of the whole film, the wrong one included. Without the lungs, three labels of six change, in
# both directions, and `adult_covid` comes to about .5. But films with grey areas are unlike anything that the network has learnt from. On
# validation films of children, an earlier network had an AUC of .998 on whole films, .957 on the lungs alone, and .971 *without* the lungs
# ([model card](https://github.com/aaz-imran/MultiMix/blob/main/weights/README.md)). So much of the class can be read from outside the lungs:
# size, position, framing.
#
# ## What no map shows
#
# - **Not where the disease is.** A map shows what moves this network's score.
# - **Not why.** Two networks with the same outputs can have different maps.
# - **Not certainty.** A clear map can belong to a wrong class.
#
# Next: `03_training` trains a network.
