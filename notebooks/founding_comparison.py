# ruff: noqa: E402
# %% [markdown]
# # One model, five tools
#
# fxcount began with a comparison of four ways to count a model, on three nets so small that everyone can check the
# answers by hand: two 3 x 3 convolutions, one convolution called twice, and a convolution that is never called. The tools
# disagreed, and each was wrong on another net. Here the comparison runs live, with fxcount beside them.

# %%
import sys
import warnings
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "benchmarks").is_dir())
sys.path.insert(0, str(root))
warnings.filterwarnings("ignore", message="IProgress not found")

# %%
import matplotlib.pyplot as plt
import torch

import fxcount
from benchmarks.founding import NETS, Both, Twice, Unused, compare, side_by_side

# %% [markdown]
# Each net takes one sample of 1 x 512 x 512, without a batch dimension. By hand: a convolution has 9 parameters and
# 9 * 512 * 512 = 2,359,296 multiply-accumulates.

# %%
results = {net: compare(net) for net in NETS}
for net, rows in results.items():
    print(f"{net.__name__}: {net.__doc__}\n{side_by_side(rows)}\n")

# %% [markdown]
# * A plain sum over parameters is right on shared ones and counts those that are never used.
# * **torchsummary** draws the shared convolution as two layers with parameters of their own.
# * **torchstat** sees one call of the shared convolution. Its report crashes with today's pandas; its numbers are worked out
#   from its rules.
# * **torchinfo** knows that the second call is recursive. Without a batch dimension it takes the rows of the image for
#   channels, so its mult-adds are off by a factor of 512, and it shows the 9 unused parameters on the parent without a
#   name.
# * **fxcount** runs nothing, gets all of them right, and names `conv2.weight`.
#
# The tables of the tools themselves, for the net that calls its convolution twice:

# %%
for row in results[Twice]:
    print(f"--- {row.tool}\n{row.text}\n")

# %% [markdown]
# ## The same table as a formula
#
# `fxcount.summary` takes the arguments of `torchinfo.summary`, and sizes may be symbols.

# %%
columns = ["output_size", "num_params", "mult_adds", "madd"]
stats = fxcount.summary(Both(), input_size=("B", 1, "H", "W"), col_names=columns, verbose=0)
print(stats)
assert stats.report is not None
print("at 1 x 512 x 512:", stats.report.at(B=1, H=512, W=512).macs, "MACs")
print("unused:", fxcount.find_unused_parameters(Unused(), "1,512,512"))

# %% [markdown]
# ## Share of time: estimated and measured
#
# torchstat shows which share of the time each layer takes. Without running anything fxcount can only **estimate** it: each op
# takes as long as its arithmetic at the peak of the machine, or its bytes at full bandwidth, whichever is longer (the
# roofline model; by default of an A100). `fxcount.measure` runs the model and measures, here on the CPU.

# %%
model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 64, 7, 2, 3), torch.nn.BatchNorm2d(64), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1),
    torch.nn.Conv2d(64, 128, 3, 2, 1), torch.nn.BatchNorm2d(128), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    torch.nn.Flatten(), torch.nn.Linear(128, 10),
).eval()  # fmt: skip
estimate = fxcount.summary(
    model, input_size=(8, 3, 224, 224), col_names=["output_size", "mult_adds", "read_bytes", "write_bytes", "time_percent"],
    col_width=20, verbose=0,
)  # fmt: skip
print(estimate)

# %%
measured = fxcount.measure(model, "8,3,224,224", repeat=5)
leaves = [row for row in measured.rows if row.path]
works = {info.var_name: info.work for info in estimate.summary_list}
names = [f"{row.path}: {row.class_name}" for row in leaves]
total = sum(work.seconds for work in works.values())
fig, ax = plt.subplots(figsize=(8, 4))
at = range(len(leaves))
ax.barh([i + 0.2 for i in at], [100 * works[row.path].seconds / total for row in leaves], 0.4, label="estimated (A100)")
ax.barh([i - 0.2 for i in at], [100 * row.share for row in leaves], 0.4, label="measured (this CPU)")
ax.set_yticks(list(at), names)
ax.invert_yaxis()
ax.set_xlabel("% of the time")
ax.legend()
fig.tight_layout()
plt.show()
