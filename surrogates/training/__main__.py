"""`python -m surrogates.training`."""

from surrogates.training.train import main

raise SystemExit(main())
