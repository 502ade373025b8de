"""`python -m surrogates.power`."""

from surrogates.power.train import main

raise SystemExit(main())
