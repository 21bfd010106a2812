"""Published scorers: released students, used in place of students that the run trains.

``config/scorers.yaml`` says what is known of each; docs/scorers.md how they are used.
"""

STAGE_VERSION = 1
