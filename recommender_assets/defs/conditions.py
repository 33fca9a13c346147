"""What follows a materialisation by itself. Training does not: `retraining_sensor` asks for it, as one run.

Every condition also holds back until the blocking checks of everything upstream have passed: `eager()` alone ignores a
check that failed in an earlier run. A request is made once: should its run fail, the condition waits for the next
update, or for a person. It never loops.
"""

import dagster as dg
from dagster import AutomationCondition

_HANDLED = AutomationCondition.newly_requested() | AutomationCondition.newly_updated()
_CALM_AND_CHECKED = (
    ~AutomationCondition.any_deps_in_progress()
    & ~AutomationCondition.in_progress()
    & AutomationCondition.all_deps_blocking_checks_passed()
)
_POSSIBLE_AT_LAST = (
    AutomationCondition.missing() & AutomationCondition.any_deps_match(~AutomationCondition.missing())
).newly_true()

FOLLOWS_ITS_DATA = (
    (AutomationCondition.any_deps_updated() | _POSSIBLE_AT_LAST).since(_HANDLED) & _CALM_AND_CHECKED
).with_label("follows its data")
"""Fires when anything upstream was materialised since the asset was, and when upstream exists but the asset does not.

The second holds at the very first evaluation, too: what was there before the daemon started is not forgotten. Many
updates are one request, made when none of them is running any more. Months of the history that are missing do not hold
it back.
"""

FOLLOWS_A_NEW_MODEL = (
    AutomationCondition.any_deps_updated().ignore(dg.AssetSelection.assets("user_item_matrix")).since(_HANDLED)
    & ~AutomationCondition.any_deps_missing()
    & _CALM_AND_CHECKED
).with_label("follows a new model")
"""Fires when a model was trained outside a run that evaluates it, as from the launchpad with other hyper-parameters.

A new matrix alone changes no model and asks for nothing.
"""

FOLLOWS_AN_EVALUATION = (
    AutomationCondition.any_deps_updated().since(_HANDLED) & ~AutomationCondition.any_deps_missing() & _CALM_AND_CHECKED
).with_label("follows an evaluation")
"""Fires when models were evaluated outside a run that decides on them, and at least one of them beats its floors.

The floors are a blocking check of the evaluation, so a useless training never reaches the champion.
"""
