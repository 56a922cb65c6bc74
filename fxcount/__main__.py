"""``python -m fxcount``."""

from fxcount.cli import main

raise SystemExit(main())
