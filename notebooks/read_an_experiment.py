# %% [markdown]
# # Reading an experiment
#
# A planned test of a change that lifts the click-through rate from 10 % to 12 %, with users who come back, and what
# each figure
# of a report is there for. The visitors are simulated, the functions are those that `recommender experiment` calls.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.experiments import draw_arm
from recommender_assets.experiments.arm_moments import arm_moments
from recommender_assets.experiments.comparison import compare
from recommender_assets.experiments.power import users_per_arm
from recommender_assets.experiments.sample_ratio import ALARM_LEVEL, sample_ratio_p_value
from recommender_assets.experiments.sequential import boundary_for

LEVEL, POWER, EFFECT, DAYS = 0.05, 0.95, 0.02, 14
generator = np.random.default_rng(7)

# %% [markdown]
# ## Before: how many users?
#
# Lists of one user resemble each other, so a user is the unit, and the variance between users is what counts. It is
# measured on users before the start. Without a plan a result that is "not significant" says nothing.

# %%
pilot = draw_arm(50_000, 0.0, generator)
before = arm_moments(pilot.clicks.sum(axis=1), pilot.lists.sum(axis=1))
users = users_per_arm((before.variance, before.variance), EFFECT, POWER, LEVEL)
print(f"click-through rate {before.rate:.3f}; {users:,} users an arm find {EFFECT:+.2f} with probability {POWER:.0%}")

# %% [markdown]
# ## First look: is the split what was planned?
#
# Users are assigned by a hash, so the arms must be equally large but for chance. If they are not, something loses
# users of one arm, and no other figure can be trusted.

# %%
for counts in ({"control": users, "treatment": users + 31}, {"control": users, "treatment": round(0.85 * users)}):
    p_value = sample_ratio_p_value(counts, {"control": 0.5, "treatment": 0.5})
    print(counts, f"p = {p_value:.4f}", "STOP: look for the loss" if p_value < ALARM_LEVEL else "as planned")

# %% [markdown]
# ## At the end: the effect with its interval
#
# What the same users did before the experiment explains a part of the differences between them (CUPED), so the interval
# is shorter than without.

# %%
control, treatment = draw_arm(users, 0.0, generator), draw_arm(users, EFFECT, generator)
plain, adjusted = (
    compare(
        *(
            arm_moments(
                arm.clicks.sum(axis=1),
                arm.lists.sum(axis=1),
                (arm.clicks_before, arm.lists_before) if with_past else None,
            )
            for arm in (control, treatment)
        ),
        LEVEL,
    )
    for with_past in (False, True)
)
for found in (plain, adjusted):
    low, high = found.interval
    print(f"{found.method:52} {found.difference:+.4f} [{low:+.4f}, {high:+.4f}], p = {found.p_value:.4f}")

# %% [markdown]
# ## Looking every day
#
# Whoever looks every day at an ordinary interval and stops when it leaves 0 is wrong far more often than 5 %. The
# confidence sequence is wide enough for that: stop as soon as it leaves 0.

# %%
boundary = boundary_for(math.sqrt(2 * before.variance / users), LEVEL)
days, differences, widths = range(1, DAYS + 1), [], []
for day in days:
    arms = []
    for arm in (control, treatment):
        lists, clicks = arm.lists[:, :day].sum(axis=1), arm.clicks[:, :day].sum(axis=1)
        arms.append(arm_moments(clicks[lists > 0], lists[lists > 0]))
    error = math.hypot(arms[0].standard_error, arms[1].standard_error)
    differences.append(arms[1].rate - arms[0].rate)
    widths.append(boundary.half_width(error))
stopped = next((day for day, d, w in zip(days, differences, widths, strict=True) if abs(d) > w), None)
print(f"the sequential test stops on day {stopped}" if stopped else "the sequential test has not stopped")

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
axes.errorbar(days, differences, yerr=widths, fmt="o", capsize=3)
axes.axhline(0, color="black", linewidth=0.8)
axes.axhline(EFFECT, color="grey", linestyle="--", label="planned")
axes.set(xlabel="day", ylabel="difference in click-through rate")
axes.legend()
plt.show()
