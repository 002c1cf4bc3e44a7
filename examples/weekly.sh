#!/bin/bash
# Measures the same sweep every week, each time into a folder of its own, and shows what changed.
# In a crontab, every Sunday at two in the morning; flock leaves a week out while the last one runs:
#
#   0 2 * * 0  cd ~/attention-bench && flock -n sweep.lock examples/weekly.sh \
#       --methods darkformer performer --task lra --preset small --seeds 0-4
set -euo pipefail

WEEK=${WEEK:-$(date +%G-%V)}
mkdir -p sweeps
LAST=$(readlink sweeps/latest || true)

# How long it will take, by last week's records: cron mails what is printed.
[[ -z $LAST ]] || python -m bench run "$@" --results "sweeps/$LAST" --rerun --dry-run
# 1: trials failed, and their records say so. The rest of the week is shown all the same.
python -m bench run "$@" --results "sweeps/$WEEK" --time-limit 3600 || [[ $? -eq 1 ]]
python -m bench report --results "sweeps/$WEEK" --html "sweeps/$WEEK.html"
[[ -z $LAST || $LAST == "$WEEK" ]] || python -m bench compare "sweeps/$LAST" "sweeps/$WEEK"
ln -sfn "$WEEK" sweeps/latest
