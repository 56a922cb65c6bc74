# ruff: noqa: E402, I001
# %% [markdown]
# # FLOPs against resolution
#
# How does the cost of a vision model grow with the size of its images? Measuring gives one number for each size. Here
# each model is analysed **once**, with the resolution as a symbol, and the answer is a formula, exact for all sizes. No
# image is read and no weight is allocated. The models are ResNet-50 (a CNN), ViT-B/16 (global attention) and Swin-T
# (attention in windows).

# %%
import sys
import warnings
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "benchmarks").is_dir())
sys.path.insert(0, str(root))
warnings.filterwarnings("ignore", message="IProgress not found")

# %%
from benchmarks.torchvision_ops import torchvision  # plain torchvision, also beside a torch of another build

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy
import timm
import torch
from IPython.display import Math, display

import fxcount
from fxcount.symbolic import to_sympy

plt.rcParams.update({"figure.dpi": 80, "font.size": 11, "axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": 2})

# %% [markdown]
# ## The formulas
#
# ResNet-50 halves its image five times, ViT cuts it into patches of 16 pixels, Swin merges patches of 4 pixels three
# times and cuts the results into windows of 7. Sizes given in the matching steps (32, 16 and 224 pixels) make the
# formulas polynomials. `B` is the batch.

# %%
with torch.device("meta"):
    resnet = torchvision.models.resnet50().eval()
    vit = timm.create_model("vit_base_patch16_224", dynamic_img_size=True).eval()
    swin = torchvision.models.swin_t().eval()

reports = {
    "ResNet-50": fxcount.analyze(resnet, "B,3,32*n,32*n"),
    "ViT-B/16": fxcount.analyze(vit, "B,3,16*n,16*n"),
    "Swin-T": fxcount.analyze(swin, "B,3,224*n,224*n"),
}
steps = {"ResNet-50": 32, "ViT-B/16": 16, "Swin-T": 224}  # pixels for each unit of n
for name, report in reports.items():
    formula = sympy.latex(sympy.expand(report.macs))
    display(Math(rf"\text{{{name}, side }}{steps[name]}n:\quad \mathrm{{MACs}} = {formula}"))

# %% [markdown]
# The CNN and Swin are linear in the number of pixels; ViT has a term in $n^4$, the square of its number of patches.
#
# A formula rests on the decisions the model took on its sizes, and the report lists them. Swin does not shift its
# windows in a stage that is one window wide, so the formula above is for at least two windows at the last stage.
# Outside of its domain a report analyses the model again, or with `extend=False` refuses to give a number; the case
# `n = 1`, which is 224 pixels, is analysed on its own.

# %%
for assumption in reports["Swin-T"].assumptions:
    print("Swin-T assumes", assumption)
try:
    reports["Swin-T"].at(B=1, n=1, extend=False)
except fxcount.AssumptionError as error:
    print(type(error).__name__, "- as it should be")
single = fxcount.analyze(swin, "B,3,224*n,224*n", hints={"B": 1, "n": 1})
print("Swin-T at 224 pixels:", single.at(B=1, n=1).macs, "MACs; larger sizes, same polynomial:",
      sympy.expand(single.macs - reports["Swin-T"].macs) == 0)

# %%
B, n = sorted(reports["ViT-B/16"].macs.free_symbols, key=str)


def curve(formula, largest, step):
    """Sides in pixels, and the values of a formula in n for one image."""
    ns = np.arange(1, largest // step + 1)
    values = sympy.lambdify(n, sympy.sympify(formula).subs(B, 1), "numpy")(ns.astype(float))
    return ns * step, values


fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
for name, report in reports.items():
    sides, macs = curve(report.macs, 2240, steps[name])
    left.loglog(sides, macs / 1e9, label=name, marker="o" if name == "Swin-T" else None)
    right.plot(sides, macs / sides**2 / 1e3, label=name, marker="o" if name == "Swin-T" else None)
left.set(xlabel="image side (pixels)", ylabel="GMACs for one image", title="Cost of an image")
left.set(xlim=(64, 2400), ylim=(0.2, 2e4))
right.set(xlabel="image side (pixels)", ylabel="kMACs per pixel", title="Cost of a pixel", ylim=(0, 1200))
left.legend()
right.legend()
fig.tight_layout()
plt.show()

# %% [markdown]
# A pixel costs ResNet-50 and Swin-T the same in a small and in a large image. In ViT it gets dearer, as each patch
# attends to all others.
#
# ## Between the steps
#
# With free `H` and `W` the formula of the CNN keeps its roundings: one `ceil` for each halving. The cost is a
# staircase, and its largest steps come every 32 pixels: an image of 225 pixels costs more than one of 224, by exactly
# this much.

# %%
free = fxcount.analyze(resnet, "B,3,H,W")
print("MACs =", free.costs.total.macs)
sides = range(192, 292)
macs = [free.at(B=1, H=side, W=side).macs for side in sides]
small, large = (free.at(B=1, H=side, W=side).macs for side in (224, 225))
print(f"224: {small} MACs, 225: {large} MACs, {100 * (large / small - 1):.1f} % more")

fig, ax = plt.subplots(figsize=(7, 3.6))
ax.step(sides, [m / 1e9 for m in macs], where="post", label="ResNet-50")
ax.plot(sides, [small * (s / 224) ** 2 / 1e9 for s in sides], "--", label="in proportion to the pixels")
ax.set(xlabel="image side (pixels)", ylabel="GMACs for one image", title="Rounding, exactly")
ax.set_xticks(range(192, 292, 32))
ax.legend()
plt.show()

# %% [markdown]
# ## Where attention overtakes
#
# The MACs of ViT by kind of op: the linear layers grow with the number of tokens, $n^2 + 1$, attention (scores, and
# their product with the values) with its square. Where do they meet? sympy solves the equation of the two formulas
# exactly.

# %%
kinds = {row.op: to_sympy(row.cost.macs).subs(B, 1) for row in reports["ViT-B/16"].by_op()}
attention, linear = kinds["scaled_dot_product_attention"], kinds["linear"]
display(Math(r"\text{attention} = " + sympy.latex(sympy.factor(attention))))
display(Math(r"\text{linear} = " + sympy.latex(sympy.expand(linear))))

patches = sympy.Symbol("p", positive=True)  # p = n**2
roots = sympy.solve(sympy.expand(attention - linear).subs(n**4, patches**2).subs(n**2, patches), patches)
display(Math(r"n^2 = " + sympy.latex(roots[0]) + rf"\approx {sympy.N(roots[0], 8)}"))
crossing = float(16 * sympy.sqrt(roots[0]))
print(f"attention overtakes the linear layers at a side of {crossing:.1f} pixels")

# %% [markdown]
# The number has a simple reason. A block of width $d$ has $12d^2$ MACs of linear layers for each of its $s$ tokens, and
# $2ds$ of attention: they are equal at $s = 6d = 4608$ tokens. (The root is off that by a hair because the
# classifier's head is a linear layer, too.) In Swin both grow with the number of windows, and attention stays behind
# for ever.

# %%
width, tokens = 768, sympy.Symbol("s", positive=True)
print("s =", sympy.solve(12 * width**2 * tokens - 2 * width * tokens**2, tokens)[0], "tokens")
swin_kinds = {row.op: to_sympy(row.cost.macs).subs(B, 1) for row in reports["Swin-T"].by_op()}
share = sympy.limit(swin_kinds["matmul"] / swin_kinds["linear"], n, sympy.oo)
print(f"Swin-T: attention / linear tends to {share}, {100 * float(share):.1f} %")

fig, ax = plt.subplots(figsize=(7, 3.8))
for label, part, total, step in (
    ("ViT-B/16", attention, reports["ViT-B/16"].macs, 16),
    ("Swin-T", swin_kinds["matmul"], reports["Swin-T"].macs, 224),
):
    sides, shares = curve(100 * part / total.subs(B, 1), 2240, step)
    ax.plot(sides, shares, label=label, marker="o" if step == 224 else None)
ax.axvline(crossing, color="grey", linestyle=":", label=f"attention = linear: {crossing:.0f} pixels")
ax.set(xlabel="image side (pixels)", ylabel="attention, % of all MACs", ylim=(0, 100))
ax.set_title("Where attention overtakes")
ax.legend()
plt.show()

# %% [markdown]
# ## Memory: the peak moves
#
# The largest number of bytes alive at one moment of inference is a `Max` over moments, as the peak sits at different
# ops for different sizes. ViT with fused attention never holds a matrix of scores and peaks in the MLP. Without the
# fused kernel, small images still peak there, and large ones at the softmax of the scores. The crossing is again the
# root of a polynomial.

# %%
fused = reports["ViT-B/16"]
for block in vit.blocks:
    block.attn.fused_attn = False
plain = fxcount.analyze(vit, "B,3,16*n,16*n")
display(Math(r"\text{fused: } " + sympy.latex(fused.memory.peak) + r"\text{ bytes}"))
display(Math(r"\text{not fused: } " + sympy.latex(plain.memory.peak) + r"\text{ bytes}"))
moments = {plain.memory_place(peak.call): to_sympy(peak.nbytes).subs(B, 1) for peak in plain.peaks.peaks}
mlp, softmax = (next(f for place, f in moments.items() if place.startswith(op)) for op in ("gelu", "softmax"))
difference = sympy.expand(mlp - softmax).subs({n**4: patches**2, n**2: patches})
(root_n,) = [root for root in sympy.solve(difference, patches) if root > 0]
print(f"the peak moves at n**2 = {root_n}, a side of {16 * float(sympy.sqrt(root_n)):.1f} pixels")
for size in (12, 13):
    print(f"{16 * size} pixels: {plain.at(B=1, n=size).memory.peak_op}")

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
for ax, smallest, largest in ((left, 128, 288), (right, 16, 1088)):
    sides, nbytes = curve(fused.memory.peak, largest, 16)
    ax.plot(sides, nbytes / 2**20, color="black", alpha=0.3, linewidth=5, label="peak, fused attention")
    other = [int(side) for side in sides if side != 224]  # there timm leaves the positions as they are: other formulas
    nbytes = [plain.at(B=1, n=side // 16).memory.peak / 2**20 for side in other]
    ax.plot(other, nbytes, color="crimson", alpha=0.4, linewidth=5, label="peak, not fused")
    for place, formula in moments.items():
        sides, nbytes = curve(formula, largest, 16)
        ax.plot(sides, nbytes / 2**20, "--", linewidth=1.3, label=f"not fused, at {place}")
    ax.set(xlabel="image side (pixels)", ylabel="MiB for one image, weights not included", xlim=(smallest, largest))
left.set_ylim(0, 22)
left.set_title("Small images: the peak moves")
right.set_title("Large images: the scores take over")
left.legend(fontsize=9)
fig.tight_layout()
plt.show()

# %% [markdown]
# The same question can be asked of any model and any symbol: batch, sequence length, resolution. `report.at(...)` gives
# numbers, `report.macs` and `report.memory.peak` are sympy expressions to calculate with.
