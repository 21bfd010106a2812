"""What a stage's calls will cost, with an interval, before the stage pays for them.

A pilot of the stage's own questions is asked first; its replies are in the journal, so the stage
does not pay for them again. ``pilot`` draws and asks it, ``counting`` measures every prompt,
``estimate`` turns both into predictions, ``stage`` into one stage's forecast.
"""

STAGE_VERSION = 1
