"""`python -m surrogates.serving`."""

from surrogates.serving.train import main

raise SystemExit(main())
