"""How many labels are enough: held-out agreement of a cheap probe at growing label counts (ours).

The paper labels a fixed number of records. Here the labels at hand say what further ones would
buy, and labelling may stop when that is less than what the held-out labels can tell from nothing.
"""

STAGE_VERSION = 1
