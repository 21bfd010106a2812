"""Entry point of ``python -m mira.teacher.embedded``."""

from mira.teacher.embedded.server import main

raise SystemExit(main())
